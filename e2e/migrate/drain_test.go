//go:build linux

package migrate

import "testing"

// All containers leave a machine, two at a time.
func TestDrain(t *testing.T) {
	r := newRig(t)
	var scenes []*scene
	for range 4 {
		scenes = append(scenes, r.scene(t, "both", nil))
	}
	out, err := r.CLI(t.Context(), "drain", "vm1")
	t.Logf("%s", out)
	scenes[0].do(err)
	for _, s := range scenes {
		s.settled(r.vm2)
		s.clean(r.vm1)
	}
	if out, err := r.CLI(t.Context(), "migrate", scenes[0].name, "--to", "vm1"); err == nil {
		t.Errorf("a node that was drained is a target:\n%s", out)
	}
	_, err = r.CLI(t.Context(), "drain", "--undo", "vm1")
	scenes[0].do(err)
	scenes[0].do(scenes[0].migrate(r.vm1))
	scenes[0].settled(r.vm1)
}
