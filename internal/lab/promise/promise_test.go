//go:build linux

package promise

import (
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLinksAreRead(t *testing.T) {
	got, err := parse("4026532", `[{"ifname":"lo","address":"00:00:00:00:00:00","link_type":"loopback"},
		{"ifname":"eth0","address":"e2:4e:00:00:00:01","linkinfo":{"info_kind":"veth"}}]`)
	want := []invariant.Link{{Namespace: "4026532", Name: "eth0", MAC: nic.MAC{0xe2, 0x4e, 0, 0, 0, 1}, Kind: "veth"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parse("", "no JSON"); err == nil {
		t.Error("no error for what is no JSON")
	}
}
