package metadata

import (
	"context"
	"errors"
	"fmt"
)

// A Dialect is how one cloud spells its metadata.
type Dialect struct {
	cloud                  string // its name, for errors
	base                   string // where it is
	tokenPath              string
	ttlHeader, tokenHeader string // as net/http writes them
	echoesTTL              bool   // the answer with a token has the first header too
	rolePath               string // what has the role's name in it
	identity               func(context.Context, *Client) (Identity, error)
}

// word reads an item of one word; empty if it is absent.
func (c *Client) word(ctx context.Context, path string) (string, error) {
	text, err := c.get(ctx, path)
	switch {
	case errors.Is(err, errAbsent):
		return "", nil
	case err == nil && text != "" && !isWord(text):
		return "", fmt.Errorf("%w: %s is %.40q", ErrStrange, path, text)
	}
	return text, err
}
