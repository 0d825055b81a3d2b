"""A text for comparing models; written for this package, free for any use."""

SAMPLE_TEXT = """\
Background: Chronic kidney disease raises the risk of heart failure, but few trials have looked at
older adults who take several drugs at once. Methods: We followed 412 patients (mean age 71.3
years, 54% women) for 24 months. Serum creatinine, urinary albumin and blood pressure (mmHg) were
measured every 12 weeks; the primary outcome was a 40% fall of the estimated glomerular filtration
rate. Results: The outcome occurred in 38 of 206 treated patients and in 57 of 206 controls (hazard
ratio 0.63, 95% CI 0.42-0.95; p=0.027). TGF-beta1 and IL-6 were lower after treatment, and no
difference in hyperkalaemia was seen. Conclusions: In this sample the drug slowed the loss of renal
function. Larger studies must show whether it also prevents dialysis.
"""
