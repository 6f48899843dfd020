"""What a completion says: thinking apart, the answer unwrapped, then boxes, option, labels, denial."""
