#!/usr/bin/env bash
# Builds wheel and source distribution with the Python of the environment in $LIGHT, installs each
# outside the checkout, where only the packages of that environment are, and runs commands there.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Apart from the checkout, where a build would leave its own folders.
mkdir "$folder/source"
cp -r src params requirements setup.cfg pyproject.toml MANIFEST.in README.md LICENSE "$folder/source"
"$LIGHT/bin/python" -m build --no-isolation --outdir "$folder/dist" "$folder/source" >"$folder/log" 2>&1 ||
  { cat "$folder/log" >&2; exit 1; }

cd "$folder"
printf '%s' '<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article>' \
  '<ArticleTitle>T</ArticleTitle><Abstract><AbstractText>Insulin.</AbstractText></Abstract>' \
  '<Language>eng</Language></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>' >one.xml
"$LIGHT/bin/python" -m venv --without-pip env
site=$(env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# Its packages, but not the checkout, which a .pth file of that environment names.
"$LIGHT/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/light.pth"
for built in dist/*.whl dist/*.tar.gz; do
  "$LIGHT/bin/python" -m pip --python env/bin/python install --disable-pip-version-check -q \
    --no-deps --no-build-isolation --force-reinstall "$built"
  env/bin/python -c 'import mediswift_cs, sys; sys.exit(sys.prefix not in mediswift_cs.__file__)'
  env/bin/mediswift --version
  env/bin/mediswift params list | grep -q mediswift_xl_75.yaml
  env/bin/mediswift documents one.xml --output documents.jsonl.zst --overwrite
  env/bin/mediswift doctor | grep 'ok    packages'
done
echo "wheel and source distribution: installed outside the checkout, and commands run"
