"""``report.html``: what a run did, on one page that can be shown to somebody else."""
