"""Scores from words alone: BLEU, ROUGE, METEOR, CIDEr, and how texts are split for them."""
