package sriov_test

import (
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// S0-4: the rule of the paper, and what it leaves open.
func TestVFNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pfs, pf, vf int
		want        string
	}{
		{2, 1, 1, "VF11"},
		{2, 2, 63, "VF263"},
		{9, 9, 256, "VF9256"},
		{10, 1, 11, "VF1_11"},
		{10, 10, 1, "VF10_1"},
		{2, 11, 1, "VF11_1"}, // beyond the ninth in any case
		{1, 65535, 65535, "VF65535_65535"},
	} {
		got, err := sriov.NamingFor(c.pfs).VF(c.pf, c.vf)
		if err != nil || got != c.want {
			t.Errorf("VF %d of PF %d on a node with %d PFs: %q, %v; want %s", c.vf, c.pf, c.pfs, got, err, c.want)
		}
		if err := nic.CheckInterfaceName(got); err != nil {
			t.Error(err)
		}
		if pf, vf, ok := sriov.ParseVF(got); !ok || pf != c.pf || vf != c.vf {
			t.Errorf("%s is read as VF %d of PF %d, %v", got, vf, pf, ok)
		}
	}
	for _, pair := range [][2]int{{0, 1}, {1, 0}, {-1, 1}, {1 << 16, 1}, {1, 1 << 16}} {
		if got, err := new(sriov.Naming).VF(pair[0], pair[1]); err == nil {
			t.Errorf("VF %d of PF %d is named %s", pair[1], pair[0], got)
		}
	}
}

// No two VFs of a node have one name, nor any of two nodes that name in two ways.
func TestNoNameMeansTwoVFs(t *testing.T) {
	t.Parallel()
	meaning := map[string][2]int{}
	for _, naming := range []sriov.Naming{{}, {Separator: true}} {
		for pf := 1; pf <= 30; pf++ {
			for vf := 1; vf <= 130; vf++ {
				name, err := naming.VF(pf, vf)
				if err != nil {
					t.Fatal(err)
				}
				if was, taken := meaning[name]; taken && was != [2]int{pf, vf} {
					t.Fatalf("%s is VF %d of PF %d and VF %d of PF %d", name, was[1], was[0], vf, pf)
				}
				meaning[name] = [2]int{pf, vf}
			}
		}
	}
}

func TestForeignNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "VF", "VF1", "VF0", "VF01", "VF10", "VF1_", "VF_1", "VF1_0", "VF1_01", "VF01_1", "vf11", "VF1 1", "VF1_1_1", "VF+11", "VF1_+1", "VF1-1",
		"VF1_65536", "VF65536_1", "VF199999", "eth0", "cbond1", "VF1٣",
	} {
		if pf, vf, ok := sriov.ParseVF(name); ok {
			t.Errorf("%q is read as VF %d of PF %d", name, vf, pf)
		}
	}
}

func TestBondNames(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1: "cbond1", 63: "cbond63", 65535: "cbond65535"} {
		got, err := sriov.Bond(n)
		if err != nil || got != want || nic.CheckInterfaceName(got) != nil {
			t.Errorf("bond %d: %q, %v", n, got, err)
		}
		if back, ok := sriov.ParseBond(got); !ok || back != n {
			t.Errorf("%s is read as %d, %v", got, back, ok)
		}
	}
	for _, n := range []int{0, -1, 1 << 16} {
		if got, err := sriov.Bond(n); err == nil {
			t.Errorf("bond %d is named %s", n, got)
		}
	}
	for _, name := range []string{"", "cbond", "cbond0", "cbond01", "cbond-1", "bond1", "cbond65536"} {
		if n, ok := sriov.ParseBond(name); ok {
			t.Errorf("%q is read as %d", name, n)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	names, err := sriov.Names(cards(2, 3))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	if want := []string{"VF11", "VF12", "VF13", "VF21", "VF22", "VF23"}; !slices.Equal(all, want) {
		t.Errorf("names are %q, want %q", all, want)
	}
	if names["0000:04:10.2"] != "VF22" {
		t.Errorf("the second VF of the second PF is %s", names["0000:04:10.2"])
	}
}

// Whatever is read as a name of ours is what one of the namings writes, and the
// kernel takes it.
func FuzzParseVF(f *testing.F) {
	for _, seed := range []string{"VF11", "VF263", "VF1_11", "VF10_1", "VF01", "VF1__1", "eth0", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		pf, vf, ok := sriov.ParseVF(name)
		if !ok {
			return
		}
		if err := nic.CheckInterfaceName(name); err != nil {
			t.Error(err)
		}
		plain, plainErr := sriov.Naming{}.VF(pf, vf)
		parted, partedErr := sriov.Naming{Separator: true}.VF(pf, vf)
		if plainErr != nil || partedErr != nil || name != plain && name != parted {
			t.Errorf("%q is read as VF %d of PF %d, which is %q or %q, %v, %v", name, vf, pf, plain, parted, plainErr, partedErr)
		}
	})
}

// Each VF that can be named has a name that is read back as that VF.
func FuzzVFName(f *testing.F) {
	f.Add(1, 1, false)
	f.Add(12, 3, false)
	f.Add(1, 23, true)
	f.Fuzz(func(t *testing.T, pf, vf int, parted bool) {
		name, err := sriov.Naming{Separator: parted}.VF(pf, vf)
		if err != nil {
			return
		}
		if gotPF, gotVF, ok := sriov.ParseVF(name); !ok || gotPF != pf || gotVF != vf {
			t.Errorf("VF %d of PF %d is %s, which is read as VF %d of PF %d, %v", vf, pf, name, gotVF, gotPF, ok)
		}
	})
}
