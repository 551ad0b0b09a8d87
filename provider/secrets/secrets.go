// Package secrets keeps what calls are signed with out of what is said of them.
package secrets

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Words are what was signed with lately, so that it can be struck out of what a cloud,
// or something before it, says: an error of the network may have the URL in it as it was
// signed, and a refusal may repeat the request.
type Words struct {
	signed *regexp.Regexp

	mu    sync.Mutex
	known []string
}

// maxKnown holds the credentials before the last rotation too.
const maxKnown = 12

// maxSaid is how much of what is said goes into an error, in bytes; encoded
// authorization messages are longer, and nobody can read them.
const maxSaid = 600

// New returns words of which none is known yet. signed is what else of a signed request
// can be in a text.
func New(signed *regexp.Regexp) *Words { return &Words{signed: signed} }

// Learn remembers words, as they are and as they are in URLs; an empty one is none.
func (w *Words) Learn(words ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, word := range words {
		for _, form := range []string{word, url.QueryEscape(word)} {
			if form == "" || slices.Contains(w.known, form) {
				continue
			}
			if w.known = append(w.known, form); len(w.known) > maxKnown {
				w.known = w.known[1:]
			}
		}
	}
}

// Strike returns the text without words and signatures, and not too long.
func (w *Words) Strike(text string) string {
	w.mu.Lock()
	for _, word := range w.known {
		text = strings.ReplaceAll(text, word, "[credential]")
	}
	w.mu.Unlock()
	text = w.signed.ReplaceAllString(text, "[signed]")
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + "…"
	}
	return text
}
