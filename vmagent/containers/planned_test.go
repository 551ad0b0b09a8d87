//go:build linux

package containers

import "testing"

// Only what a registry has brought gets a name that may be asked of a registry.
func TestWhichNameAnImageGets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ref, digest, want string }{
		{"postgres:16", "postgres@sha256:1", "postgres:16"},
		{"docker.io/library/postgres:16", "postgres@sha256:1", "docker.io/library/postgres:16"},
		{"reg.example:5000/shop:1", "reg.example:5000/shop@sha256:1", "reg.example:5000/shop:1"},
		{"reg.example:5000/shop", "reg.example:5000/shop@sha256:1", "reg.example:5000/shop"},
		{"postgres:16", "evil.example/postgres@sha256:1", "nicferry.moved/postgres:16"},
		{"postgres:16", "evil/postgres@sha256:1", "nicferry.moved/postgres:16"},
		{"shop", "", "nicferry.moved/shop"},
	} {
		if got := nameFor(c.ref, []string{c.digest}); got != c.want {
			t.Errorf("%s of %s is called %s, want %s", c.ref, c.digest, got, c.want)
		}
	}
}
