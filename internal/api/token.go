package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// tokenPrefix begins the text of every token, so that people and programs that
// look for secrets know one.
const tokenPrefix = "nft1_"

// maxToken bounds the text of a token, in bytes.
const maxToken = 8192

// A TokenContent is what the text of a token holds. Only the controller knows
// whether it is true.
type TokenContent struct {
	// Controllers are addresses of the controller; may be empty.
	Controllers []string `json:"controllers,omitempty"`
	// Node is the name that the node is to have.
	Node string `json:"node"`
	ID   string `json:"id"`
	// Secret is what only who was given the token knows.
	Secret Secret `json:"secret"`
	// CA is the SHA-256 of the certificate of the controller's CA, in hex.
	CA string `json:"ca"`
}

// Encode is the token's text.
func (c TokenContent) Encode() (Secret, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(data)
	if len(text) > maxToken {
		return "", fmt.Errorf("encode token: %d bytes, at most %d; give it fewer addresses", len(text), maxToken)
	}
	return Secret(text), nil
}

// LooksLikeToken says whether a text is meant to be a token, whole or not.
func LooksLikeToken(text string) bool { return strings.HasPrefix(text, tokenPrefix) }

// HideTokens is text with all that follows the beginning of a token left out, for
// logs: people put tokens where an id belongs.
func HideTokens(text string) string {
	if before, _, found := strings.Cut(text, tokenPrefix); found {
		return before + tokenPrefix + "…"
	}
	return text
}

// ParseToken reads a token's text. Its errors never have the text.
func ParseToken(text Secret) (TokenContent, error) {
	coded, ok := strings.CutPrefix(strings.TrimSpace(string(text)), tokenPrefix)
	if !ok || len(text) > maxToken {
		return TokenContent{}, fmt.Errorf("this is no token: want the text that nicferry token create prints, which begins with %s", tokenPrefix)
	}
	data, err := base64.RawURLEncoding.DecodeString(coded)
	if err != nil {
		return TokenContent{}, errNotWhole
	}
	var c TokenContent
	if err := json.Unmarshal(data, &c); err != nil || c.Node == "" || c.ID == "" || c.Secret == "" || c.CA == "" {
		return TokenContent{}, errNotWhole
	}
	return c, nil
}

var errNotWhole = errors.New("this is not the whole of a token, or more than one: copy it again, all of it in one line")

// A Secret is a text that no log shows.
type Secret string

// String hides the secret.
func (s Secret) String() string { return "***" }

// GoString hides the secret.
func (s Secret) GoString() string { return `"***"` }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue("***") }
