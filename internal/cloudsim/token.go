package cloudsim

import "fmt"

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

// remember keeps what a client token made.
func (t *turn) remember(name string, request any, made ...string) {
	if name != "" {
		t.c.tokens[name] = token{t.call.API, fmt.Sprintf("%+v", request), made}
	}
}
