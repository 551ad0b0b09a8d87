package aws

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// secrets is the chain's credentials, remembered so that they can be struck out
// of what EC2, or something before it, says: a wrong signature is answered with
// the request as it was signed, session token included.
type secrets struct {
	from aws.CredentialsProvider

	mu    sync.Mutex
	known []string
}

// maxKnown holds the credentials before the last rotation too.
const maxKnown = 12

// Retrieve implements aws.CredentialsProvider.
func (s *secrets) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := s.from.Retrieve(ctx)
	if err != nil {
		return c, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, word := range []string{c.AccessKeyID, c.SecretAccessKey, c.SessionToken} {
		s.remember(word)
		s.remember(url.QueryEscape(word))
	}
	return c, nil
}

func (s *secrets) remember(word string) {
	if word == "" {
		return
	}
	for _, known := range s.known {
		if known == word {
			return
		}
	}
	if s.known = append(s.known, word); len(s.known) > maxKnown {
		s.known = s.known[1:]
	}
}

// signed is what of a signed request's headers can be in a text.
var signed = regexp.MustCompile(`(?i)(AWS4-HMAC-SHA256[^<\n]*|x-amz-security-token:\s*\S+|(Signature|Credential)=[^\s,&<]+|\b[0-9a-f]{64}\b)`)

// maxSaid is how much of what EC2 says goes into an error, in bytes; encoded
// authorization messages are longer, and nobody can read them.
const maxSaid = 600

// strike returns the text without credentials and signatures, and not too long.
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
