//go:build linux

package promise

import (
	"context"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLinksAreRead(t *testing.T) {
	got, err := parse("4026532", `[{"ifname":"lo","address":"00:00:00:00:00:00","link_type":"loopback"},
		{"ifname":"eth0","address":"e2:4e:00:00:00:01","linkinfo":{"info_kind":"veth"}},
		{"ifname":"VF11","address":"e2:4e:00:00:00:02","parentbus":"pci","parentdev":"0000:01:10.0"}]`, map[string]bool{"0000:01:10.0": true})
	want := []invariant.Link{{Namespace: "4026532", Name: "eth0", MAC: nic.MAC{0xe2, 0x4e, 0, 0, 0, 1}, Kind: "veth"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parse("", "no JSON", nil); err == nil {
		t.Error("no error for what is no JSON")
	}
}

// A node is read with VFs and without.
func TestANodeIsRead(t *testing.T) {
	for vfs, want := range map[string]int{"vfs": 1, "vfs 0000:01:10.0": 0} {
		m := machine{
			run: func(context.Context, string, ...string) (string, error) {
				return vfs + "\nown " + `[{"ifname":"VF11","address":"e2:4e:00:00:00:02","parentdev":"0000:01:10.0"}]` + "\n", nil
			},
			docker: func(context.Context, ...string) (string, error) { return "c1\n", nil },
		}
		node, err := look(t.Context(), m)
		if err != nil || len(node.Links) != want || !node.Running["c1"] {
			t.Errorf("%s: got %+v, %v", vfs, node, err)
		}
	}
}
