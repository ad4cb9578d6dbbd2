"""AutoQ: a float network, samples, a space and a goal in; the best quantized network, trained, out."""
