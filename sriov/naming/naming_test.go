//go:build linux

package naming

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/sriov"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A machine has two cards with two VFs each, whose interfaces are ends of veths in a
// namespace of the test's.
type machine struct {
	*Namer
	t     *testing.T
	ns    *netns.Namespace
	host  *link.Handle
	index map[sriov.Address]int
	used  map[sriov.Address]sriov.Used
	looks int
	// look is called before each look. Optional.
	look func(n int)
}

func start(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, ns: netnstest.New(t), index: map[sriov.Address]int{}, used: map[sriov.Address]sriov.Used{}}
	var err error
	if m.host, err = link.Open(m.ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.host.Close)
	root := t.TempDir()
	if m.Namer, err = New(Options{Host: m.ns, Root: root, State: filepath.Join(root, "run/nicferry/agent/sriov")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Namer.Close)
	for i, a := range []sriov.Address{"0000:03:10.0", "0000:03:10.2", "0000:04:10.0", "0000:04:10.2"} {
		name := fmt.Sprintf("ens%df0v%d", i/2+1, i%2)
		m.ip("link", "add", name, "type", "veth", "peer", "name", fmt.Sprintf("wire%d", i))
		m.index[a] = m.link(name).Index
		m.write("sys/bus/pci/devices/"+string(a)+"/vendor", "0x8086")
	}
	return m
}

func (m *machine) ip(args ...string) { m.t.Helper(); netnstest.Run(m.t, m.ns, "ip", args...) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.opts.Root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) link(name string) link.Link {
	m.t.Helper()
	l, err := m.host.ByName(name)
	if err != nil {
		m.t.Fatal(err)
	}
	return l
}

// list is what sysfs says at the moment.
func (m *machine) list() ([]sriov.PF, error) {
	m.looks++
	if m.look != nil {
		m.look(m.looks)
	}
	pfs := []sriov.PF{{Address: "0000:03:00.0", Name: "ens1f0"}, {Address: "0000:04:00.0", Name: "ens2f0"}}
	for a, index := range m.index {
		l, err := m.host.ByIndex(index)
		if err != nil {
			return nil, err
		}
		pf := &pfs[0]
		if strings.HasPrefix(string(a), "0000:04") {
			pf = &pfs[1]
		}
		use := sriov.Use{How: sriov.Free}
		if used := m.used[a]; used != "" {
			use = sriov.Use{How: used, By: "bond0"}
		}
		pf.VFs = append(pf.VFs, sriov.VF{PF: pf.Address, Index: int(a[len(a)-1]-'0') / 2, Address: a, Name: l.Name, Use: use})
	}
	return pfs, nil
}

// names are all names of the VFs' interfaces, each with its alternative names.
func (m *machine) names() string {
	m.t.Helper()
	var all []string
	for _, index := range m.index {
		l, err := m.host.ByIndex(index)
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, strings.Join(append([]string{l.Name}, l.AltNames...), "/"))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

const settled = "VF11/ens1f0v0 VF12/ens1f0v1 VF21/ens2f0v0 VF22/ens2f0v1"

func (m *machine) settleSoon() (Result, error) {
	return m.settle(m.t.Context(), m.list, sriov.Numbering{}, 50*time.Millisecond, time.Millisecond)
}

// S0-4: VFs have their names, and go by those they had as well. What has its name costs
// no change.
func TestVFsAreNamed(t *testing.T) {
	t.Parallel()
	m := start(t)
	if r, err := m.Settle(t.Context(), m.list, sriov.Numbering{}); err != nil || r.Named != 4 || m.names() != settled || m.looks != 2 {
		t.Errorf("%+v, %v after %d looks: %s", r, err, m.looks, m.names())
	}
	before := m.Namer.host.Messages().Writes
	pfs, err := m.list()
	if err != nil {
		t.Fatal(err)
	}
	names, err := sriov.Numbering{}.Names(pfs)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := m.Name(pfs, names); err != nil || r.Named != 0 || m.Namer.host.Messages().Writes != before {
		t.Errorf("again: %+v, %v", r, err)
	}
	// Cards that the config lists first are first, and numbers are parted on demand.
	if r, err := m.settle(t.Context(), m.list, sriov.Numbering{Separator: true, Listed: []string{"ens2f0"}}, time.Second, time.Millisecond); err != nil || r.Named != 4 ||
		m.names() != "VF1_1/ens2f0v0 VF1_2/ens2f0v1 VF2_1/ens1f0v0 VF2_2/ens1f0v1" {
		t.Errorf("%+v, %v: %s", r, err, m.names())
	}
}

// udev renames what has just come: it is waited for, and looked at again.
func TestUdevIsNotDisturbed(t *testing.T) {
	t.Parallel()
	m := start(t)
	m.write("run/udev/control", "")
	m.look = func(n int) {
		switch n {
		case 2, 3:
			if !strings.HasPrefix(m.names(), "ens1f0v0 ens1f0v1") {
				t.Errorf("named under udev's hands: %s", m.names())
			}
			for _, index := range m.index {
				m.write(fmt.Sprintf("run/udev/data/n%d", index), map[int]string{2: "E:ID_PROCESSING=1\n", 3: "E:ID_NET_NAME=x\n"}[n])
			}
		case 4: // one that sets names at another occasion
			m.ip("link", "set", "VF11", "name", "other0")
		}
	}
	r, err := m.settle(t.Context(), m.list, sriov.Numbering{}, time.Minute, time.Millisecond)
	if want := settled; err != nil || r.Named != 4 || m.names() != want {
		t.Errorf("%+v, %v: %s", r, err, m.names())
	}
	// udev that is never done does not keep VFs from their names.
	m = start(t)
	m.write("run/udev/control", "")
	if r, err := m.settleSoon(); err != nil || r.Named != 4 || m.names() != settled {
		t.Errorf("%+v, %v: %s", r, err, m.names())
	}
}

// Somebody who has names of his own is told of, and not fought for ever.
func TestNamesThatDoNotStay(t *testing.T) {
	t.Parallel()
	m := start(t)
	m.look = func(n int) {
		if n > 1 {
			m.ip("link", "set", "VF22", "name", "lan0")
		}
	}
	if _, err := m.settleSoon(); !errors.Is(err, ErrRestless) {
		t.Errorf("%v: %s", err, m.names())
	}
}

// What somebody uses keeps its name, and a name that is another's leaves the others
// to be given.
func TestVFsThatKeepTheirNames(t *testing.T) {
	t.Parallel()
	m := start(t)
	m.used["0000:03:10.0"] = sriov.Joined
	m.ip("link", "set", "wire3", "name", "VF22")
	m.opts.Spare = func(a sriov.Address) bool { return a == "0000:04:10.0" }
	r, err := m.settleSoon()
	if !errors.Is(err, link.ErrExists) || !strings.Contains(err.Error(), "ip -d link show VF22") || r.Named != 1 || len(r.Kept) != 1 ||
		r.Kept[0] != "ens1f0v0 (0000:03:10.0) is not called VF11, since it is in use by bond0" {
		t.Errorf("%+v, %v", r, err)
	}
	if got := m.names(); got != "VF12/ens1f0v1 ens1f0v0 ens2f0v0 ens2f0v1" {
		t.Error(got)
	}
}

// One that comes back from a container, by whatever name and without its alternative
// names, is called as before. A VF that was made anew has nothing of an earlier one.
func TestNamesComeBack(t *testing.T) {
	t.Parallel()
	m := start(t)
	if _, err := m.settleSoon(); err != nil {
		t.Fatal(err)
	}
	for vf, name := range map[string]string{"VF11": "nt0123456789ab", "VF12": "eth0", "VF21": "VF21"} {
		l := m.link(vf)
		if err := m.host.DropAltNames(l); err != nil {
			t.Fatal(err)
		}
		m.ip("link", "set", vf, "name", name)
	}
	m.ip("link", "property", "add", "dev", "eth0", "altname", "VF12") // of its own
	if _, err := m.settleSoon(); err != nil || m.names() != settled {
		t.Errorf("%v: %s", err, m.names())
	}
	l := m.link("VF22")
	if err := m.host.DropAltNames(l); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(m.opts.Root, "sys/bus/pci/devices/0000:04:10.2")
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	m.write("sys/bus/pci/devices/0000:04:10.2/vendor", "0x8086")
	m.ip("link", "set", "VF22", "name", "eth7")
	if _, err := m.settleSoon(); err != nil || !strings.HasSuffix(m.names(), " VF22/eth7") {
		t.Errorf("%v: %s", err, m.names())
	}
}
