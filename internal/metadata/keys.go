package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"
)

// ErrNoRole: the instance has no role, and so no keys.
var ErrNoRole = errors.New("this instance has no role")

// Keys are what a role signs with, until they end. They print as nothing.
type Keys struct {
	Access string `json:"-"`
	Secret string `json:"-"`
	Token  string `json:"-"`
	Ends   time.Time
}

// hidden is what is printed of keys.
const hidden = "[keys of a role]"

// Format implements fmt.Formatter, for all verbs.
func (Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements slog.LogValuer.
func (Keys) LogValue() slog.Value { return slog.StringValue(hidden) }

const (
	// keysSpare is how long before their end others are asked for, which the service
	// has some minutes before; and keysAgain is how long it is left alone then.
	keysSpare = 10 * time.Minute
	keysAgain = 30 * time.Second
)

// Keys are the role's, for as long as they last and from then on others. Who asks while
// they last is answered with those, also where the service is not reached. It is for
// clouds whose SDK does not take them itself with tokens alone: ECS. The error is of
// the kinds of this package, and holds nothing of the keys.
func (c *Client) Keys(ctx context.Context) (Keys, error) {
	if k, ok := c.lasting(); ok {
		return k, nil
	}
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return Keys{}, err
	}
	defer done()
	if k, ok := c.lasting(); ok { // whose turn it was has asked
		return k, nil
	}
	old := c.postpone()
	k, err := c.askKeys(ctx)
	switch {
	case err == nil && !time.Now().Before(k.Ends):
		err = fmt.Errorf("%w: the keys of the role ended at %s; is this machine's clock right?", ErrStrange, k.Ends.UTC().Format(time.RFC3339))
	case err == nil:
		c.keep(k)
		return k, nil
	}
	if old != nil && time.Now().Before(old.Ends) {
		c.Log.Warn("role's keys are not renewed", "ends", old.Ends, "error", err)
		return *old, nil
	}
	return Keys{}, fmt.Errorf("ask for the keys of this instance's role: %w", err)
}

// lasting are keys that need not be renewed now.
func (c *Client) lasting() (Keys, bool) {
	c.keysMu.Lock()
	defer c.keysMu.Unlock()
	now := time.Now()
	if c.keys == nil || !now.Before(c.keys.Ends) || !now.Before(c.renewKeys) {
		return Keys{}, false
	}
	return *c.keys, true
}

// postpone has others not ask as well, and returns what there is.
func (c *Client) postpone() *Keys {
	c.keysMu.Lock()
	defer c.keysMu.Unlock()
	c.renewKeys = time.Now().Add(keysAgain)
	return c.keys
}

// keep has keys used until they near their end. Such as the service does not renew yet
// are asked for again.
func (c *Client) keep(k Keys) {
	c.keysMu.Lock()
	defer c.keysMu.Unlock()
	c.keys = &k
	if spare := k.Ends.Add(-keysSpare); spare.After(c.renewKeys) {
		c.renewKeys = spare
	}
}

// askKeys has the turn.
func (c *Client) askKeys(ctx context.Context) (Keys, error) {
	if c.Dialect.keys == nil {
		return Keys{}, fmt.Errorf("the keys of a role on %s are its SDK's to ask for", c.Dialect.cloud)
	}
	role, err := c.word(ctx, c.Dialect.rolePath)
	if err != nil {
		return Keys{}, err
	}
	if role == "" {
		return Keys{}, ErrNoRole
	}
	path := c.Dialect.rolePath + url.PathEscape(role)
	text, err := c.get(ctx, path)
	if errors.Is(err, errAbsent) {
		return Keys{}, fmt.Errorf("%w: %s has no %s", ErrStrange, c.BaseURL, path)
	}
	if err != nil {
		return Keys{}, err
	}
	return c.Dialect.keys(text)
}
