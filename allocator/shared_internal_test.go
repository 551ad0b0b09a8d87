package allocator

import (
	"testing"

	"github.com/nicferry/nicferry/nic"
)

// What is kept of each key is what was put there, the latest, and nothing of a key that
// has gone.
func TestFew(t *testing.T) {
	t.Parallel()
	f := few[string, belonging]{}
	f.put("a", belonging{"lan", "one"})
	f.put("b", belonging{"lan", "two"})
	f.put("a", belonging{"wan", "one"})
	delete(f, "b")
	for key, want := range map[string]belonging{"a": {"wan", "one"}, "b": {}, "c": {}} {
		if got := f.at(key); got != want {
			t.Errorf("%s is %+v, not %+v", key, got, want)
		}
	}
}

// A mark is the same after it was kept, and none is none.
func TestAMarkIsKeptWhole(t *testing.T) {
	t.Parallel()
	full := mark{
		node: "n", phase: nic.PhaseHeld, placed: true, clean: true, unseen: true, reuse: true, astray: 1, state: nic.StateAttached,
		device: nic.Veth, again: 2, holder: "c", going: "m", turn: 3, former: "b",
	}
	if got := keep(full).mark(); got != full {
		t.Errorf("%+v, not %+v", got, full)
	}
	if got := (keptMark{}).mark(); got != (mark{}) {
		t.Errorf("none is %+v", got)
	}
	if a, b := keep(mark{node: "n", holder: "c"}), keep(mark{node: "n", holder: "d", turn: 1}); a.alike != b.alike {
		t.Error("what is alike is kept twice")
	}
}
