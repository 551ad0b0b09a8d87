//go:build linux

package link

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// answer is what the kernel would say of the VFs: what it was told, in its own
// numbers. extra are fields that it says besides.
func answer(t *testing.T, changes map[int]VFChange, extra func(info *nl.RtAttr, vf uint32)) map[int]nic.VFSettings {
	t.Helper()
	list := nl.NewRtAttr(unix.IFLA_VFINFO_LIST|unix.NLA_F_NESTED, nil)
	for vf, c := range changes {
		info := list.AddRtAttr(nl.IFLA_VF_INFO|unix.NLA_F_NESTED, nil)
		if c.MAC == nil {
			c.MAC = new(nic.MAC{}) // it always says one
		}
		c.fill(info, uint32(vf))
		if extra != nil {
			extra(info, uint32(vf))
		}
	}
	vfs, err := parseVFs(append(head(7).Serialize(), list.Serialize()...))
	must(t, err)
	return vfs
}

func TestVFSettingsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	changes := map[int]VFChange{
		0: {},
		1: {MAC: &macA, VLAN: &nic.VFVLAN{ID: 100, QoS: 3}, SpoofCheck: new(true), Trust: new(false), Link: nic.VFLinkAuto, Rate: &nic.VFRate{Min: 10, Max: 1000}},
		62: {
			MAC: &macB, VLAN: &nic.VFVLAN{ID: 4094, QoS: 7, Protocol: nic.VLAN8021AD}, SpoofCheck: new(false),
			Trust: new(true), Link: nic.VFLinkOff, Rate: &nic.VFRate{},
		},
	}
	got := answer(t, changes, func(info *nl.RtAttr, vf uint32) {
		if vf == 62 { // the kernel says the older field too
			data := binary.NativeEndian.AppendUint32(nil, vf)
			data = binary.NativeEndian.AppendUint32(data, 4094)
			info.AddRtAttr(nl.IFLA_VF_VLAN, binary.NativeEndian.AppendUint32(data, 7))
		}
	})
	want := map[int]nic.VFSettings{0: {}}
	for vf, c := range changes {
		if vf > 0 {
			want[vf] = nic.VFSettings{MAC: *c.MAC, VLAN: c.VLAN, SpoofCheck: c.SpoofCheck, Trust: c.Trust, Link: c.Link, Rate: c.Rate}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("VFs (-want +got):\n%s", diff)
	}
}

// A driver that knows nothing of a switch says -1.
func TestVFSwitchesThatADriverDoesNotTell(t *testing.T) {
	t.Parallel()
	got := answer(t, map[int]VFChange{3: {}}, func(info *nl.RtAttr, vf uint32) {
		for _, kind := range []int{nl.IFLA_VF_SPOOFCHK, nl.IFLA_VF_TRUST} {
			info.AddRtAttr(kind, binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, vf), ^uint32(0)))
		}
	})
	if s := got[3]; s.SpoofCheck != nil || s.Trust != nil {
		t.Errorf("got %+v; want neither switch", s)
	}
}

func TestHostileVFListIsNoPanic(t *testing.T) {
	t.Parallel()
	list := nl.NewRtAttr(unix.IFLA_VFINFO_LIST|unix.NLA_F_NESTED, nil)
	info := list.AddRtAttr(nl.IFLA_VF_INFO|unix.NLA_F_NESTED, nil)
	for kind := range nl.IFLA_VF_MAX + 3 {
		info.AddRtAttr(kind, []byte{1})
	}
	whole := append(head(7).Serialize(), list.Serialize()...)
	for n := unix.SizeofIfInfomsg; n <= len(whole); n++ {
		if vfs, err := parseVFs(whole[:n:n]); err == nil && len(vfs) > 0 {
			t.Errorf("of %d bytes: %v", n, vfs)
		}
	}
}

func TestALinkWithoutVFs(t *testing.T) {
	t.Parallel()
	ns, h := open(t)
	netnstest.Run(t, ns, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	l := mustName(t, h, "v0")
	before := h.Messages()
	pf, err := h.PF(l.Index)
	if err != nil || pf.Name != "v0" || len(pf.VFs) != 0 {
		t.Errorf("got %+v, %v; want v0 without VFs", pf, err)
	}
	if n := h.Messages().Reads - before.Reads; n != 1 {
		t.Errorf("%d messages; want 1", n)
	}
	if _, err := h.PF(l.Index + 100); !errors.Is(err, ErrNotFound) {
		t.Errorf("no link: got %v; want %v", err, ErrNotFound)
	}
	if err := h.SetVF(l, 0, VFChange{SpoofCheck: new(true)}); !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		t.Errorf("a VF of a veth: got %v; want a refusal", err)
	}
}
