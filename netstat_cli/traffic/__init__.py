"""From counters to traffic: the definition, the scan that applies it to every line, and the search that finds the same
numbers in a long history. Pure: lines and samples in, amounts out; no clock, no file."""
