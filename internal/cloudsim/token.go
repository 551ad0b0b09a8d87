package cloudsim

import (
	"fmt"
	"net/netip"
)

// A token is what a client token was used for.
type token struct {
	api, asked string
	made       []string
}

// remembered says what a client token made before; nil is nothing. The same
// with other parameters is refused.
func (t *turn) remembered(name string, request any) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	before, ok := t.c.tokens[name]
	if !ok {
		return nil, nil
	}
	if before.api != t.call.API || before.asked != fmt.Sprintf("%+v", request) {
		return nil, refuse("token.mismatch", name)
	}
	return before.made, nil
}

// given says what a client token gave an interface before: addresses, and prefixes.
func (t *turn) given(name string, request any) (addrs []netip.Addr, prefixes []netip.Prefix, before bool, err error) {
	made, err := t.remembered(name, request)
	for _, text := range made {
		if a, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, a)
		} else {
			prefixes = append(prefixes, netip.MustParsePrefix(text))
		}
	}
	return addrs, prefixes, made != nil, err
}

// gives is what a token is to remember of addresses and prefixes.
func gives(addrs []netip.Addr, prefixes []netip.Prefix) []string {
	made := append([]string{}, texts(addrs)...)
	for _, p := range prefixes {
		made = append(made, p.String())
	}
	return made
}

// remember keeps what a client token made.
func (t *turn) remember(name string, request any, made ...string) {
	if name != "" {
		t.c.tokens[name] = token{t.call.API, fmt.Sprintf("%+v", request), made}
	}
}
