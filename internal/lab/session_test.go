//go:build linux

package lab_test

import (
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
)

// Neither another node that is ready nor a node of which the word stands
// elsewhere is the node.
func TestANodeIsReadyByItsOwnRecord(t *testing.T) {
	const list = `{"items": [
		{"name": "vm1", "phase": "silent", "session": 3, "inventory": {"docker": "ready"}},
		{"name": "vm2", "phase": "ready", "session": 7, "conditions": [{"reason": "NodeSilent", "message": "\"vm3\""}]}
	]}`
	for name, want := range map[string]struct {
		session uint64
		ready   bool
	}{"vm1": {3, false}, "vm2": {7, true}, "vm3": {}} {
		if session, ready, err := lab.SessionIn(list, name); session != want.session || ready != want.ready || err != nil {
			t.Errorf("%s: session %d, ready %t, %v; want %+v", name, session, ready, err, want)
		}
	}
	if _, _, err := lab.SessionIn("no nodes", "vm1"); err == nil {
		t.Error("what is no list was read")
	}
}
