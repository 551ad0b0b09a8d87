package iam

import "strings"

// like matches a whole text; * in the pattern stands for any characters and ?
// for any one.
func like(pattern, text string) bool {
	star, from := -1, 0 // the last *, and where the text goes on if it takes one character more
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// arnParts is how many parts IAM's ARNs have; the last may have colons in it.
const arnParts = 6

// likeARN matches ARNs part by part, so that * does not reach over a colon.
func likeARN(pattern, text string) bool {
	want, have := strings.SplitN(pattern, ":", arnParts), strings.SplitN(text, ":", arnParts)
	if len(want) != arnParts || len(have) != arnParts {
		return false
	}
	for i := range want {
		if !like(want[i], have[i]) {
			return false
		}
	}
	return true
}
