"""Byzantine agreement on the next block: pure, inputs to outputs; the node carries them out."""
