package conf

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

// checkFaults holds for every error of a parser, whatever the file.
func checkFaults(t *testing.T, data []byte, err error) {
	t.Helper()
	faults := AsFaults(err)
	if len(faults) == 0 || len(faults) > maxFaults+1 {
		t.Fatalf("%d faults: %v", len(faults), err)
	}
	if !slices.IsSortedFunc(faults, func(a, b Fault) int { return a.Line - b.Line }) {
		t.Errorf("faults are not by line:\n%v", err)
	}
	for _, f := range faults {
		if f.Line < 1 || f.Line > 1+breaks(data) {
			t.Errorf("line %d of %d: %v", f.Line, 1+breaks(data), f)
		}
		if f.Problem == "" || len(f.Problem) > maxProblem+len("…") || !utf8.ValidString(f.Error()) {
			t.Errorf("problem of %d bytes: %v", len(f.Problem), f)
		}
		if strings.ContainsFunc(f.Error(), func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Errorf("a terminal would obey: %q", f.Error())
		}
	}
}

// breaks counts all that YAML takes for the end of a line.
func breaks(data []byte) int {
	n := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r"))
	for _, r := range []string{"\u0085", "\u2028", "\u2029"} {
		n += bytes.Count(data, []byte(r))
	}
	return n
}

func FuzzParseController(f *testing.F) {
	asIs, full := samples(f, "nicferryd.yaml")
	f.Add(asIs)
	f.Add(full)
	for _, a := range goldens(f, "controller") {
		f.Add(a.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseController("f", data)
		if err != nil {
			checkFaults(t, data, err)
			return
		}
		again, err := ParseController("f", data)
		if diff := cmp.Diff(c, again, byText); err != nil || diff != "" {
			t.Errorf("the same file again: %v\n%s", err, diff)
		}
		checkSafe(t, c)
	})
}

// checkSafe holds for every file that is accepted: no address is given out
// twice, none is outside its prefix, and no name is hostile.
func checkSafe(t *testing.T, c *Controller) {
	t.Helper()
	given := map[string][]nic.Range{}
	for _, n := range c.Networks {
		if err := nic.CheckName("network", n.Name); err != nil {
			t.Error(err)
		}
		if n.Port.Kind != "" {
			if err := n.Port.Check(); err != nil || n.Device.Kind != "" {
				t.Errorf("network %s: %v, and also %q", n.Name, err, n.Device.Kind)
			}
			continue
		}
		if len(n.Cloud.Subnets) > 0 {
			if n.Addressing != nic.AddrProvider || n.Device.Kind != "" || n.Cloud.Movable && !n.Cloud.Shared && n.Pool.Max > 0 ||
				n.Cloud.Seats() && (n.Cloud.IPv6 || n.Cloud.Prefixes > 0) {
				t.Errorf("network %s: %+v", n.Name, n)
			}
			continue
		}
		if !n.Functions.IsZero() {
			if err := n.Functions.Set.Check(); err != nil || n.Device.Kind != "" || n.Pool.Max > 0 || n.Functions.UserSpace && n.Functions.Bond != "" {
				t.Errorf("network %s: %v, %+v", n.Name, err, n)
			}
			continue
		}
		name := n.Device.Parent
		if n.Device.Kind == nic.Veth {
			name = n.Device.Bridge.Name
		}
		for _, name := range append([]string{name}, n.Device.Bridge.Uplinks...) {
			if err := nic.CheckInterfaceName(name); err != nil {
				t.Error(err)
			}
		}
		for _, s := range n.Subnets {
			for _, r := range s.Ranges {
				if !s.Prefix.Contains(r.First) || !s.Prefix.Contains(r.Last) || r.Last.Less(r.First) {
					t.Errorf("network %s: range %s of %s", n.Name, r, s.Prefix)
				}
				if i := slices.IndexFunc(given[n.Space], r.Overlaps); i >= 0 {
					t.Errorf("network %s: range %s and %s in space %s", n.Name, r, given[n.Space][i], n.Space)
				}
				given[n.Space] = append(given[n.Space], r)
			}
		}
	}
}

func FuzzParseAgent(f *testing.F) {
	asIs, full := samples(f, "agent.yaml")
	f.Add(asIs)
	f.Add(full)
	for _, a := range goldens(f, "agent") {
		f.Add(a.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAgent("f", data, func() (string, error) { return "host", nil })
		if err != nil {
			checkFaults(t, data, err)
			return
		}
		if err := nic.CheckName("node", a.Node); err != nil {
			t.Error(err)
		}
		for _, address := range a.Controllers {
			if err := CheckAddress(address); err != nil {
				t.Error(err)
			}
			if strings.HasPrefix(address, "https:") && a.TLS == nil {
				t.Errorf("%s without a certificate", address)
			}
		}
	})
}
