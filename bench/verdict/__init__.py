"""The verdict on two arms: its rules, pairs, interim looks, judge and words. Knows no process and imports no pandas."""
