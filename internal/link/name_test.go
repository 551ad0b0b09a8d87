//go:build linux

package link

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// Several ask one handle for names at once, and none gets another's answer.
func TestIndexOf(t *testing.T) {
	t.Parallel()
	ns, h := open(t)
	must(t, h.AddPair(Pair{Name: "a0", PeerName: "b0", MAC: macA, PeerMAC: macB}))
	a, b := mustName(t, h, "a0").Index, mustName(t, h, "b0").Index
	netnstest.Run(t, ns, "ip", "link", "property", "add", "dev", "b0", "altname", "another")
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 50 {
				for name, want := range map[string]int{"a0": a, "b0": b, "another": b, "lo": 1} {
					if got, err := h.IndexOf(name); err != nil || got != want {
						t.Errorf("index of %s is %d, %v; want %d", name, got, err, want)
					}
				}
				if _, err := h.IndexOf("eth0"); !errors.Is(err, ErrNotFound) {
					t.Errorf("a name that nothing has: %v, want ErrNotFound", err)
				}
			}
		})
	}
	asking.Wait()
	for _, name := range []string{"", strings.Repeat("a", 16), "a0" + strings.Repeat("x", 20)} {
		if _, err := h.IndexOf(name); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%q, which no link can have as its name: %v", name, err)
		}
	}
	if got := mustName(t, h, "a0").Index; got != a {
		t.Errorf("afterwards the handle finds a0 at %d, want %d", got, a)
	}
}
