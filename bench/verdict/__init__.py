"""The verdict on two arms: rules, pairs, interim looks, judge, words. Knows no process and imports no pandas."""
