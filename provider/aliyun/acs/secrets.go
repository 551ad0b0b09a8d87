package acs

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// secrets are the keys that were signed with lately, so that they can be struck out of
// what is said: an error of the network has the URL in it as it was signed, and a
// refusal may repeat it.
type secrets struct {
	mu    sync.Mutex
	known []string
}

// maxKnown holds the key before the last rotation too.
const maxKnown = 12

func (s *secrets) learn(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, word := range []string{k.Access, k.Secret, k.Token} {
		for _, form := range []string{word, url.QueryEscape(word)} {
			if form == "" || slices.Contains(s.known, form) {
				continue
			}
			if s.known = append(s.known, form); len(s.known) > maxKnown {
				s.known = s.known[1:]
			}
		}
	}
}

// signed is what of a signed request can be in a text, also escaped as what is signed is.
var signed = regexp.MustCompile(`(?i)((Signature|SignatureNonce|AccessKeyId|SecurityToken)(=|%3D|%253D)[^\s&,"<]+|server string to sign is:.*)`)

// maxSaid is how much of what is said goes into an error, in bytes.
const maxSaid = 600

// strike returns the text without keys and signatures, and not too long.
func (s *secrets) strike(text string) string {
	s.mu.Lock()
	for _, word := range s.known {
		text = strings.ReplaceAll(text, word, "[credential]")
	}
	s.mu.Unlock()
	text = signed.ReplaceAllString(text, "[signed]")
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + "…"
	}
	return text
}
