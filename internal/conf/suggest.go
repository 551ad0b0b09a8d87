package conf

import (
	"fmt"
	"strings"
)

// maxSuggested bounds the names that an unknown one is compared with.
const maxSuggested = 16

// nearest returns the known word that word is most likely a slip of, or "".
func nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, least := "", len(word)
	for _, k := range known {
		allowed := (max(len(word), len(k)) + 1) / 3
		if n := distance(strings.ToLower(word), strings.ToLower(k)); n <= allowed && n < least {
			best, least = k, n
		}
	}
	return best
}

// A suggestion is the end of a sentence about an unknown word. It is found
// when the sentence is printed: faults that nobody reads cost nothing.
type suggestion struct {
	word  string
	known []string
}

func didYouMean(word string, known []string) suggestion { return suggestion{word, known} }

// String proposes the nearest known word, or else all.
func (s suggestion) String() string {
	if k := nearest(s.word, s.known); k != "" {
		return fmt.Sprintf("did you mean %q?", k)
	}
	return "want " + oneOf(s.known)
}

func oneOf(known []string) string {
	if len(known) < 2 {
		return strings.Join(known, "")
	}
	last := len(known) - 1
	return strings.Join(known[:last], ", ") + " or " + known[last]
}

// distance is the least number of bytes to insert, delete or replace, or of
// neighbours to swap.
func distance(a, b string) int {
	var before []int // the row before row
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			replace := row[j]
			if a[i] != b[j] {
				replace++
			}
			next[j+1] = min(replace, next[j]+1, row[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
