package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// A Dialect is how one cloud spells its metadata: EC2() or ECS().
type Dialect struct {
	cloud                  string // its name, for errors
	unheard                string // what else may be the reason where nobody answers
	base                   string // where it is
	tokenPath              string
	ttlHeader, tokenHeader string // as net/http writes them
	echoesTTL              bool   // the answer with a token has the first header too
	rolePath               string // what has the role's name in it
	identity               func(context.Context, *Client) (Identity, error)
	keys                   func(text string) (Keys, error) // nil: they are the SDK's to ask for

	field string // of the config, that names the region instead
	// endpoint is where the cloud's own tools are told that the service is, by the
	// environment; empty if they are not told. ErrRefused if they are told not to ask.
	endpoint func(getenv func(string) string) (string, error)
}

// document reads an item of JSON that must be there.
func (c *Client) document(ctx context.Context, path string, doc any) error {
	text, err := c.get(ctx, path)
	if errors.Is(err, errAbsent) {
		return fmt.Errorf("%w: %s has no %s", ErrStrange, c.BaseURL, path)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), doc); err != nil {
		return fmt.Errorf("%w: %s is not JSON: %w", ErrStrange, path, err)
	}
	return nil
}

// check says which part of an identity is none, by what the cloud calls the parts.
func (id *Identity) check(instance, kind, region, zone string) error {
	for _, f := range [][2]string{{instance, string(id.Instance)}, {kind, id.Type}, {region, id.Region}, {zone, id.Zone}} {
		if !isWord(f[1]) {
			return fmt.Errorf("%w: in the identity document the %s is %.40q", ErrStrange, f[0], f[1])
		}
	}
	return nil
}

// word reads an item of one word; empty if it is absent.
func (c *Client) word(ctx context.Context, path string) (string, error) {
	text, err := c.get(ctx, path)
	switch {
	case errors.Is(err, errAbsent):
		return "", nil
	case err == nil && !isWord(text):
		return "", fmt.Errorf("%w: %s is %.40q", ErrStrange, path, text)
	}
	return text, err
}
