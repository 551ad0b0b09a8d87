//go:build linux

package vf_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const boot = "11111111-2222-3333-4444-555555555555"

func setter(t testing.TB, n *vftest.Node, dir string, more ...func(*vf.Options)) *vf.Setter {
	t.Helper()
	o := vf.Options{Kernel: n, Bus: n, Dir: dir, Boot: boot}
	for _, m := range more {
		m(&o)
	}
	s, err := vf.New(o)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wanted is the usual: a MAC, a VLAN, spoof check on, trust off.
func wanted(v nic.VF) nic.VF {
	v.Set = nic.VFSettings{MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{ID: 100, QoS: 3}, SpoofCheck: new(true), Trust: new(false)}
	return v
}

// taken is the recipe after the controller has been told what was before.
func taken(t testing.TB, s *vf.Setter, id nic.ID, v nic.VF) nic.VF {
	t.Helper()
	was, err := s.Take(t.Context(), id, v)
	must(t, err)
	v.Was = was
	return v
}

// oneCard is a node with card ens1 of so many VFs.
func oneCard(vfs int, d vftest.Driver) *vftest.Node {
	n := &vftest.Node{}
	n.Add("ens1", 3, vfs, d)
	return n
}

// applied is VF number n of a node's one card, which a NIC has, set as usual.
func applied(t testing.TB, vfs int, d vftest.Driver, n int) (*vftest.Node, *vf.Setter, nic.ID, nic.VF) {
	t.Helper()
	node := oneCard(vfs, d)
	s, id := setter(t, node, t.TempDir()), nic.NewID()
	v := taken(t, s, id, wanted(node.VF("ens1", n)))
	must(t, s.Apply(t.Context(), id, v))
	return node, s, id, v
}

func same(t testing.TB, what string, want, got map[string]nic.VFSettings) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestF31_AllFieldsAreSetAndSetBack(t *testing.T) {
	t.Parallel()
	n := oneCard(7, vftest.Driver{})
	s := setter(t, n, t.TempDir())
	id, before := nic.NewID(), n.Settings()
	v := n.VF("ens1", 5)
	v.Set = nic.VFSettings{
		MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{ID: 4094, QoS: 7, Protocol: nic.VLAN8021AD}, SpoofCheck: new(false),
		Trust: new(true), Link: nic.VFLinkOn, Rate: &nic.VFRate{Min: 10, Max: 100},
	}
	v = taken(t, s, id, v)
	if want := (nic.VFWas{Boot: boot, Settings: before[v.PCI]}); !cmp.Equal(v.Was, want) {
		t.Errorf("was: got %+v; want %+v", v.Was, want)
	}
	same(t, "taken", before, n.Settings())
	want := n.Settings()
	want[v.PCI] = v.Set
	for range 2 {
		must(t, s.Apply(t.Context(), id, v))
		same(t, "applied", want, n.Settings())
	}
	if was, err := s.Take(t.Context(), id, v); err != nil || !cmp.Equal(was, v.Was) {
		t.Errorf("asked again: got %+v, %v; want %+v", was, err, v.Was)
	}
	now, err := s.Read(t.Context(), v)
	if err != nil || !cmp.Equal(now, v.Set) {
		t.Errorf("read: got %+v, %v; want %+v", now, err, v.Set)
	}
	for range 2 {
		must(t, s.Restore(t.Context(), id, v))
		same(t, "restored", before, n.Settings())
	}
}

// A VLAN that somebody left on the VF does not reach a container of a network
// without one, and comes back after it. A driver that tells no VLAN has none.
func TestAVLANThatWasLeftIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]nic.VFVLAN{
		"a VLAN": {ID: 7, QoS: 2}, "a service tag": {ID: 7, Protocol: nic.VLAN8021AD}, "a priority": {QoS: 5}, "none": {},
	} {
		n := oneCard(2, vftest.Driver{})
		pf, err := n.PF(1)
		must(t, err)
		must(t, n.SetVF(pf.Link, 1, link.VFChange{VLAN: &left}))
		s := setter(t, n, t.TempDir())
		id, before := nic.NewID(), n.Settings()
		v := n.VF("ens1", 1)
		v.Set = nic.VFSettings{MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{}, SpoofCheck: new(true), Trust: new(false)}
		v = taken(t, s, id, v)
		must(t, s.Apply(t.Context(), id, v))
		if now := n.Settings()[v.PCI].VLAN; now == nil || *now != (nic.VFVLAN{}) {
			t.Errorf("%s was left: is now %+v; want none", name, now)
		}
		must(t, n.SetVF(pf.Link, 1, link.VFChange{VLAN: &nic.VFVLAN{ID: 9}}))
		if err := s.Differs(t.Context(), id, v); err == nil || !strings.Contains(err.Error(), "VLAN: wanted none, found 9") {
			t.Errorf("set by hand: got %v", err)
		}
		must(t, s.Restore(t.Context(), id, v))
		same(t, name+", set back", before, n.Settings())
	}
	n := oneCard(1, vftest.Driver{Untold: []string{"VLAN"}, Refuses: map[string]error{"VLAN": unix.EOPNOTSUPP}})
	s, id := setter(t, n, t.TempDir()), nic.NewID()
	v := n.VF("ens1", 0)
	v.Set = nic.VFSettings{MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{}}
	v = taken(t, s, id, v)
	must(t, s.Apply(t.Context(), id, v))
	must(t, s.Differs(t.Context(), id, v))
	must(t, s.Restore(t.Context(), id, v))
}

func TestWhatIsSetByHandIsFoundAndMended(t *testing.T) {
	t.Parallel()
	n, s, id, v := applied(t, 7, vftest.Driver{}, 5)
	must(t, s.Differs(t.Context(), id, v))
	want := n.Settings()
	pf, err := n.PF(1)
	must(t, err)
	must(t, n.SetVF(pf.Link, 5, link.VFChange{VLAN: &nic.VFVLAN{}, SpoofCheck: new(false)}))
	err = s.Differs(t.Context(), id, v)
	for _, want := range []string{"VLAN: wanted 100 (priority 3, 802.1Q), found none", "spoof check: wanted on, found off"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q in it", err, want)
		}
	}
	must(t, s.Apply(t.Context(), id, v))
	same(t, "mended", want, n.Settings())
}

// What is so already is not sent, and all that is not is one message.
func TestMessages(t *testing.T) {
	t.Parallel()
	n := oneCard(63, vftest.Driver{})
	s := setter(t, n, t.TempDir())
	id := nic.NewID()
	v := taken(t, s, id, wanted(n.VF("ens1", 62)))
	cost := func(what string, want link.Messages, do func() error) {
		t.Helper()
		b := n.Messages()
		must(t, do())
		a := n.Messages()
		if got := (link.Messages{Reads: a.Reads - b.Reads, Dumps: a.Dumps - b.Dumps, Writes: a.Writes - b.Writes}); got != want {
			t.Errorf("%s: %+v; want %+v", what, got, want)
		}
	}
	apply := func() error { return s.Apply(t.Context(), id, v) }
	cost("to set", link.Messages{Reads: 2, Writes: 1}, apply)
	cost("to set again", link.Messages{Reads: 1}, apply)
	cost("to set back", link.Messages{Reads: 2, Dumps: 1, Writes: 1}, func() error { return s.Restore(t.Context(), id, v) })
}

func TestNothingIsSetBeforeTheControllerKnows(t *testing.T) {
	t.Parallel()
	n := oneCard(2, vftest.Driver{})
	s := setter(t, n, t.TempDir())
	id, before := nic.NewID(), n.Settings()
	v := wanted(n.VF("ens1", 0))
	if err := s.Apply(t.Context(), id, v); !errors.Is(err, vf.ErrUntold) {
		t.Errorf("got %v; want %v", err, vf.ErrUntold)
	}
	v = taken(t, s, id, v)
	v.Was.Boot = "the boot before"
	if err := s.Apply(t.Context(), id, v); !errors.Is(err, vf.ErrUntold) {
		t.Errorf("of an earlier boot: got %v; want %v", err, vf.ErrUntold)
	}
	must(t, s.Restore(t.Context(), id, v))
	same(t, "after all", before, n.Settings())
}

func TestADriverThatRefusesOrForgets(t *testing.T) {
	t.Parallel()
	all := nic.VFSettings{
		MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{ID: 5}, SpoofCheck: new(false), Trust: new(true), Link: nic.VFLinkOff, Rate: &nic.VFRate{Max: 100},
	}
	for field, found := range map[string]string{
		"MAC": "00:00:00:00:00:00", "VLAN": "none", "rate": "0 to 0 Mbit/s (0 is no bound)", "spoof check": "on", "link": "auto", "trust": "off",
	} {
		for how, d := range map[string]vftest.Driver{
			"refuses": {Refuses: map[string]error{field: unix.EOPNOTSUPP}},
			"forgets": {Forgets: []string{field}},
		} {
			n := oneCard(2, d)
			s := setter(t, n, t.TempDir())
			id, before := nic.NewID(), n.Settings()
			v := n.VF("ens1", 1)
			v.Set = all
			v = taken(t, s, id, v)
			err := s.Apply(t.Context(), id, v)
			var f *vf.FieldError
			if !errors.Is(err, vf.ErrRefused) || !errors.As(err, &f) || f.Field != field || f.Found != found || f.PF != "ens1" || f.Index != 1 || f.Wanted == f.Found || f.Remedy == "" {
				t.Errorf("%s %s: got %v (%+v)", how, field, err, f)
				continue
			}
			if errors.Is(err, unix.EOPNOTSUPP) != (how == "refuses") {
				t.Errorf("%s %s: the driver's own word: %v", how, field, err)
			}
			same(t, how+" "+field+", and", before, n.Settings())
			must(t, s.Restore(t.Context(), id, v))
			same(t, "and after Restore", before, n.Settings())
		}
	}
}

// The emulated card refuses two: both are told at once. What it is not asked for
// it cannot refuse.
func TestAllRefusalsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	n, s, id, v := applied(t, 2, vftest.IGB(), 0)
	after := n.Settings()
	v.Set.Link, v.Set.Rate = nic.VFLinkOn, &nic.VFRate{Max: 100}
	err := s.Apply(t.Context(), id, v)
	for _, want := range []string{
		`VF 0 of "ens1": link: wanted enable, found auto: the driver refuses it (operation not supported`,
		`VF 0 of "ens1": rate: wanted 0 to 100 Mbit/s`,
	} {
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "set VF 0 of \"ens1\": ", ""), want) {
			t.Errorf("got %v; want in it %q", err, want)
		}
	}
	same(t, "refused, and", after, n.Settings())
}

// Some drivers tell no trust, and some neither do nor tell a spoof check. A VF of those is
// given as it is by default, and what nobody can see is told; what is asked for
// besides and not seen is refused.
func TestADriverThatDoesNotTell(t *testing.T) {
	t.Parallel()
	refuses := map[string]error{"trust": unix.EOPNOTSUPP, "spoof check": unix.EOPNOTSUPP}
	for name, d := range map[string]vftest.Driver{
		"and does not do it": {Untold: []string{"spoof check", "trust"}, Refuses: refuses},
		"and does it":        {Untold: []string{"spoof check", "trust"}},
		"trust alone":        {Untold: []string{"trust"}, Refuses: map[string]error{"trust": unix.EOPNOTSUPP}},
	} {
		n := oneCard(2, d)
		s := setter(t, n, t.TempDir())
		id, before := nic.NewID(), n.Settings()
		v := taken(t, s, id, wanted(n.VF("ens1", 0)))
		if v.Was.Settings.Trust != nil {
			t.Errorf("%s: was %+v; want no trust", name, v.Was)
		}
		must(t, s.Apply(t.Context(), id, v))
		if now := n.Settings()[v.PCI]; now.MAC != v.Set.MAC || now.VLAN.ID != 100 {
			t.Errorf("%s: set to %+v; want %+v", name, now, v.Set)
		}
		wrote := n.Messages().Writes
		must(t, s.Apply(t.Context(), id, v))
		if again := n.Messages().Writes - wrote; again != 0 {
			t.Errorf("%s: %d messages to set what nobody can see, again", name, again)
		}
		err := s.Differs(t.Context(), id, v)
		untold, fields := vf.Told[*vf.UntoldError](err), vf.Told[*vf.FieldError](err)
		if len(fields) != 0 || len(untold) == 1 != slices.Contains(d.Untold, "spoof check") {
			t.Errorf("%s: told is %v", name, err)
		}
		for field, set := range map[string]func(*nic.VFSettings){
			"spoof check": func(s *nic.VFSettings) { s.SpoofCheck = new(false) },
			"trust":       func(s *nic.VFSettings) { s.Trust = new(true) },
		} {
			if !slices.Contains(d.Untold, field) {
				continue
			}
			asked := v
			set(&asked.Set)
			if err := s.Apply(t.Context(), id, asked); !errors.Is(err, vf.ErrRefused) || !strings.Contains(err.Error(), "found nothing told of it") {
				t.Errorf("%s: %s that nobody can see: got %v", name, field, err)
			}
		}
		must(t, s.Restore(t.Context(), id, v))
		same(t, name, before, n.Settings())
	}
}

func TestBadInputIsToldAllAtOnceAndTouchesNothing(t *testing.T) {
	t.Parallel()
	n := oneCard(2, vftest.Driver{})
	dir := t.TempDir()
	s := setter(t, n, dir)
	bad := n.VF("ens1", 0)
	bad.PCI = "../../../etc/passwd"
	bad.Set = nic.VFSettings{MAC: nic.MAC{1}, VLAN: &nic.VFVLAN{ID: 4095}}
	_, err := s.Take(t.Context(), nic.NewID(), bad)
	for _, e := range []error{err, s.Apply(t.Context(), nic.NewID(), bad), s.Restore(t.Context(), nic.NewID(), bad)} {
		for _, want := range []string{"PCI address", "is multicast", "VLAN 4095"} {
			if e == nil || !strings.Contains(e.Error(), want) {
				t.Errorf("got %v; want %q in it", e, want)
			}
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("the folder has %v, %v", files, err)
	}
	if _, err := s.Take(t.Context(), "not-an-id", n.VF("ens1", 0)); err == nil {
		t.Error("a NIC without an id has a VF")
	}
}

// A recipe whose number is another VF's would set that one.
func TestTheNumberAndTheAddressMustAgree(t *testing.T) {
	t.Parallel()
	n := oneCard(4, vftest.Driver{})
	s := setter(t, n, t.TempDir())
	before := n.Settings()
	v := wanted(n.VF("ens1", 1))
	v.Index, v.Was.Boot = 2, boot
	for name, v := range map[string]nic.VF{"other": v, "none": {PCI: "0000:03:11.0", PF: v.PF, Index: 8}, "no PF": {PCI: v.PCI, PF: "0000:09:00.0"}} {
		if _, err := s.Take(t.Context(), nic.NewID(), v); !errors.Is(err, vf.ErrNotFound) {
			t.Errorf("%s: got %v; want %v", name, err, vf.ErrNotFound)
		}
		if err := s.Apply(t.Context(), nic.NewID(), wanted(v)); err == nil {
			t.Errorf("%s was set", name)
		}
	}
	same(t, "after all", before, n.Settings())
}

func TestRestoreWithMissingInputs(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, n *vftest.Node, dir string, v *nic.VF){
		"the recipe's Was": func(_ *testing.T, _ *vftest.Node, _ string, v *nic.VF) { v.Was = nic.VFWas{} },
		"the folder": func(t *testing.T, _ *vftest.Node, dir string, _ *nic.VF) {
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			must(t, err)
			for _, f := range files {
				must(t, os.Remove(f))
			}
		},
		"nothing": func(*testing.T, *vftest.Node, string, *nic.VF) {},
	} {
		n := oneCard(7, vftest.Driver{})
		dir := t.TempDir()
		s := setter(t, n, dir)
		id, before := nic.NewID(), n.Settings()
		v := taken(t, s, id, wanted(n.VF("ens1", 3)))
		must(t, s.Apply(t.Context(), id, v))
		lose(t, n, dir, &v)
		again := setter(t, n, dir) // as after a crash
		for range 2 {
			must(t, again.Restore(t.Context(), id, v))
			same(t, "without "+name, before, n.Settings())
		}
	}
}

func TestRestoreOfWhatIsNotOursOrGone(t *testing.T) {
	t.Parallel()
	n := oneCard(7, vftest.Driver{})
	n.Add("ens2", 4, 7, vftest.Driver{})
	s := setter(t, n, t.TempDir())
	id := nic.NewID()
	v := taken(t, s, id, wanted(n.VF("ens1", 3)))
	must(t, s.Apply(t.Context(), id, v))
	other := wanted(n.VF("ens2", 0))
	other.Was = v.Was
	before := n.Settings()
	must(t, s.Restore(t.Context(), id, other)) // never taken
	same(t, "a VF that was never taken", before, n.Settings())
	n.Remove("ens1")
	for range 2 {
		must(t, s.Restore(t.Context(), id, v))
	}
	if err := s.Apply(t.Context(), id, v); !errors.Is(err, vf.ErrNotFound) {
		t.Errorf("a card that is gone: got %v; want %v", err, vf.ErrNotFound)
	}
}

func TestAfterARebootNothingOldIsSetBack(t *testing.T) {
	t.Parallel()
	n := oneCard(7, vftest.Driver{})
	dir := t.TempDir() // one that outlives a boot, too
	s := setter(t, n, dir)
	id := nic.NewID()
	v := taken(t, s, id, wanted(n.VF("ens1", 3)))
	must(t, s.Apply(t.Context(), id, v))
	n.Remove("ens1")
	n.Add("ens1", 3, 7, vftest.Driver{})
	before := n.Settings()
	later := setter(t, n, dir, func(o *vf.Options) { o.Boot = "another boot" })
	must(t, later.Restore(t.Context(), id, v))
	same(t, "set back after a boot", before, n.Settings())
	if err := later.Apply(t.Context(), id, v); !errors.Is(err, vf.ErrUntold) {
		t.Errorf("got %v; want %v", err, vf.ErrUntold)
	}
	next := nic.NewID()
	was, err := later.Take(t.Context(), next, v)
	if err != nil || was.Boot != "another boot" || !cmp.Equal(was.Settings, before[v.PCI]) {
		t.Errorf("take after a boot: %+v, %v", was, err)
	}
}

// A crash between any two steps, and the same again: the end is as without one.
func TestACrashAtEachStep(t *testing.T) {
	t.Parallel()
	for crash := range 4 {
		n := oneCard(2, vftest.Driver{})
		dir := t.TempDir()
		id, factory := nic.NewID(), n.Settings()
		v := wanted(n.VF("ens1", 0))
		steps := []func(s *vf.Setter) error{
			func(s *vf.Setter) (err error) { v.Was, err = s.Take(t.Context(), id, v); return err },
			func(s *vf.Setter) error { return s.Apply(t.Context(), id, v) },
			func(s *vf.Setter) error { return s.Restore(t.Context(), id, v) },
		}
		for i, step := range steps {
			s := setter(t, n, dir)
			if i == crash { // it has done the kernel's part and not said so
				must(t, step(s))
				s = setter(t, n, dir)
			}
			must(t, step(s))
		}
		same(t, fmt.Sprintf("a crash in step %d", crash), factory, n.Settings())
	}
}

func TestANoteThatCannotBeReadGivesNothingAway(t *testing.T) {
	t.Parallel()
	n := oneCard(7, vftest.Driver{})
	dir := t.TempDir()
	s := setter(t, n, dir)
	v := n.VF("ens1", 3)
	must(t, os.WriteFile(filepath.Join(dir, v.PCI), []byte(`{"owner": "ni`), 0o600))
	if _, err := s.Take(t.Context(), nic.NewID(), v); err == nil || !strings.Contains(err.Error(), "read who has VF "+v.PCI) {
		t.Errorf("got %v", err)
	}
}
