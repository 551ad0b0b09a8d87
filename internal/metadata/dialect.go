package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
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
	interfaces             func(context.Context, *Client) ([]Interface, error)
}

// items reads what is below one path. After an error all else is empty.
type items struct {
	ctx context.Context
	c   *Client
	dir string // with a slash at its end
	err error
}

// text is an item's text; empty if it is absent.
func (r *items) text(name string) string {
	if r.err != nil {
		return ""
	}
	text, err := r.c.get(r.ctx, r.dir+name)
	if err != nil && !errors.Is(err, errAbsent) {
		r.err = err
	}
	return text
}

// lines are those of an item; none if it is absent.
func (r *items) lines(name string) []string { return strings.Fields(r.text(name)) }

// word is an item of one word; empty if it is absent.
func (r *items) word(name string) string {
	text := r.text(name)
	if text != "" && !isWord(text) {
		r.strange(name, text)
		return ""
	}
	return text
}

// number is an item that is a small number; absent is false.
func (r *items) number(name string) (int, bool) {
	text := r.text(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		r.strange(name, text)
	}
	return int(n), err == nil
}

// addrs are an item's addresses, one a line.
func (r *items) addrs(name string) []netip.Addr { return parsed(r, name, netip.ParseAddr) }

// prefixes are an item's prefixes, one a line.
func (r *items) prefixes(name string) []netip.Prefix { return parsed(r, name, netip.ParsePrefix) }

func parsed[T any](r *items, name string, parse func(string) (T, error)) (all []T) {
	for _, line := range r.lines(name) {
		v, err := parse(line)
		if err != nil {
			r.strange(name, line)
			return nil
		}
		all = append(all, v)
	}
	return all
}

// strange notes an item that cannot be what it is called.
func (r *items) strange(name, text string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s%s is %.40q", ErrStrange, r.dir, name, text)
	}
}
