"""Named cases that anyone can run again: soaks (faults and load) and benches (speed, as ratios in one run)."""
