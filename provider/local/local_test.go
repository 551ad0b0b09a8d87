package local_test

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/local"
	"github.com/nicferry/nicferry/provider/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	alpha = nic.Place{Node: "alpha", Instance: "i-alpha"}
	beta  = nic.Place{Node: "beta", Instance: "i-beta"}
)

// A world is a ledger and nodes, on which controllers come and go.
type world struct {
	ledger *providertest.Ledger
	nodes  *providertest.Nodes
}

func newWorld() world {
	return world{providertest.NewLedger(), providertest.NewNodes(alpha, beta)}
}

func (w world) controller() *local.Provider {
	p, err := local.New(local.Options{Name: "here", Ledger: w.ledger, Nodes: w.nodes, NICsPerNode: 4})
	if err != nil {
		panic(err) // the options are constant
	}
	return p
}

func vethSpec(id nic.ID) nic.Spec {
	return nic.Spec{
		NIC: id, Network: "lab", Tenant: "default", Node: alpha.Node, MAC: nic.NewMAC(),
		Device: nic.Device{Kind: nic.Veth, Bridge: nic.Bridge{Name: "nf-lab", Owned: true}},
	}
}

func macvlanSpec(id nic.ID) nic.Spec {
	s := vethSpec(id)
	s.MTU, s.Device = 1400, nic.Device{Kind: nic.Macvlan, Parent: "eth0"}
	return s
}

func TestConformance(t *testing.T) {
	for name, spec := range map[string]func(nic.ID) nic.Spec{"Veth": vethSpec, "Macvlan": macvlanSpec} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, func(*testing.T) *providertest.Rig {
				w := newWorld()
				return &providertest.Rig{
					Provider:  w.controller(),
					Places:    [2]nic.Place{alpha, beta},
					Spec:      spec,
					Settle:    func(*testing.T) {}, // nothing here takes time
					NodeClean: w.nodes.SetClean,
					Restart:   func(*testing.T) provider.Provider { return w.controller() },
					Fail:      func(_ string, kind error) { w.ledger.Before(1, func() error { return kind }) },
					Lose:      w.loseWrite,
				}
			})
		})
	}
}

// loseWrite loses the reply of the write in the next call of op; each verb
// reads once before it.
func (w world) loseWrite(op string) {
	n := 2
	if op == "attach" {
		n = 3 // counts the slots too
	}
	w.ledger.After(n, func() error { return errors.New("the store broke before the reply") })
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := local.New(local.Options{Name: "no good", NICsPerNode: -1})
	for _, want := range []string{"no good", "ledger", "nodes", "nicsPerNode"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}

func TestCreateRefusesWhatNoNodeCanMake(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*nic.Spec)
		field string
	}{
		"no MAC":               {func(s *nic.Spec) { s.MAC = nic.MAC{} }, "mac:"},
		"multicast MAC":        {func(s *nic.Spec) { s.MAC = nic.MAC{1, 0, 0x5e} }, "mac:"},
		"two MACs":             {func(s *nic.Spec) { s.Device.MAC = nic.NewMAC() }, "device.mac:"},
		"two MTUs":             {func(s *nic.Spec) { s.MTU, s.Device.MTU = 1400, 1500 }, "device.mtu:"},
		"negative MTU":         {func(s *nic.Spec) { s.MTU = -1 }, "mtu:"},
		"huge MTU":             {func(s *nic.Spec) { s.Device.MTU = 1 << 20 }, "mtu:"},
		"found":                {func(s *nic.Spec) { s.Device.Kind = nic.Found }, "device.kind:"},
		"no kind":              {func(s *nic.Spec) { s.Device = nic.Device{} }, "device.kind:"},
		"no bridge":            {func(s *nic.Spec) { s.Device.Bridge.Name = "" }, "device.bridge.name:"},
		"hostile bridge":       {func(s *nic.Spec) { s.Device.Bridge.Name = "x;rm -rf" }, "device.bridge.name:"},
		"hostile uplink":       {func(s *nic.Spec) { s.Device.Bridge.Uplinks = []string{"../eth0"} }, "device.bridge.uplinks[0]:"},
		"uplink of theirs":     {func(s *nic.Spec) { s.Device.Bridge = nic.Bridge{Name: "br0", Uplinks: []string{"eth0"}} }, "device.bridge.uplinks:"},
		"veth with parent":     {func(s *nic.Spec) { s.Device.Parent = "eth0" }, "device.parent:"},
		"macvlan, no parent":   {func(s *nic.Spec) { s.Device = nic.Device{Kind: nic.Macvlan} }, "device.parent:"},
		"macvlan, with bridge": {func(s *nic.Spec) { s.Device.Kind, s.Device.Parent = nic.Macvlan, "eth0" }, "device.bridge:"},
		"hostile id":           {func(s *nic.Spec) { s.NIC = "nic-../../0123456789" }, "nic:"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			spec := vethSpec(nic.NewID())
			c.spoil(&spec)
			providertest.WantRefused(t, w.controller(), spec, "alpha", c.field)
			w.ledger.WantEmpty(t, "a refused spec")
		})
	}
}

func TestPlaceSettlesTheRecipe(t *testing.T) {
	p := newWorld().controller()
	spec := macvlanSpec(nic.NewID())
	spec.Node = ""
	placed, err := p.Place(t.Context(), spec, nic.Node{Name: "beta"})
	if err != nil {
		t.Fatal(err)
	}
	if placed.Node != "beta" || placed.Device.MAC != spec.MAC || placed.Device.MTU != 1400 {
		t.Errorf("placed as %+v", placed)
	}
	if again, err := p.Place(t.Context(), placed, nic.Node{Name: "beta"}); err != nil || again.Device.MTU != 1400 {
		t.Errorf("placed twice as %+v, %v", again, err)
	}
	if _, err := p.Create(t.Context(), placed); err != nil {
		t.Errorf("Create of what was placed: %v", err)
	}
}

func TestAttachOnlyToNodesOfOurs(t *testing.T) {
	p := newWorld().controller()
	id := nic.NewID()
	if _, err := p.Create(t.Context(), vethSpec(id)); err != nil {
		t.Fatal(err)
	}
	for _, place := range []nic.Place{
		{Node: "gamma", Instance: "i-gamma"},
		{Node: "beta", Instance: "i-alpha"},
	} {
		// ErrNotFound would mean that the NIC is gone.
		if _, err := p.Attach(t.Context(), id, place); !errors.Is(err, provider.ErrInvalid) || errors.Is(err, provider.ErrNotFound) {
			t.Errorf("Attach to %+v: %v", place, err)
		}
	}
}

func TestStoreErrorIsNeverNotFound(t *testing.T) {
	w := newWorld()
	p := w.controller()
	w.ledger.Before(1, func() error { return provider.ErrNotFound })
	if err := p.Delete(t.Context(), nic.NewID()); errors.Is(err, provider.ErrNotFound) || !errors.Is(err, provider.ErrUnknown) {
		t.Errorf("Delete while the ledger lost its table: %v", err)
	}
}

func TestUnreadableRecordIsAnErrorNotAShortList(t *testing.T) {
	id := nic.NewID()
	for key, value := range map[string]string{
		"nic/" + string(id) + "/spec":      "{",
		"nic/" + string(id) + "/step/9":    "[]",
		"nic/" + string(id) + "/step/10":   `{"do":"ferry"}`,
		"nic/" + string(id) + "/step/x":    "{}",
		"nic/" + string(id) + "/step/0":    "{}",
		"nic/" + string(id) + "/colour":    "{}",
		"nic/strange":                      "{}",
		"nic/" + string(nic.NewID()) + "/": "{}",
	} {
		w := newWorld()
		p := w.controller()
		if _, err := p.Create(t.Context(), vethSpec(nic.NewID())); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(key, "/spec") {
			if _, err := p.Create(t.Context(), vethSpec(id)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := w.ledger.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
		if all, err := p.List(t.Context()); !errors.Is(err, provider.ErrInvalid) || !strings.Contains(err.Error(), "ledger record") {
			t.Errorf("with %q = %q List returns %v, %v", key, value, all, err)
		}
	}
}

func TestLedgerDoesNotGrow(t *testing.T) {
	w := newWorld()
	p := w.controller()
	id := nic.NewID()
	if _, err := p.Create(t.Context(), vethSpec(id)); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		run(t, p, w, id, "attach alpha", "detach alpha", "clean", "get", "unclean")
		if n := len(w.ledger.Records()); n > 3 {
			t.Fatalf("%d records of one NIC", n)
		}
	}
	run(t, p, w, id, "delete")
	w.ledger.WantEmpty(t, "deleted")
}

func TestCleanReportCountsForTheNodeThatHasTheNIC(t *testing.T) {
	w := newWorld()
	p := w.controller()
	id := nic.NewID()
	if _, err := p.Create(t.Context(), vethSpec(id)); err != nil {
		t.Fatal(err)
	}
	w.nodes.SetClean(beta.Instance, id, true)
	run(t, p, w, id, "attach alpha", "detach alpha", "get")
	if got := stateOf(t, p, id); got != "detaching alpha" {
		t.Errorf("state %q after another node reported clean", got)
	}
}

// run carries out what scripts say and fails the test if one fails.
func run(t *testing.T, p *local.Provider, w world, id nic.ID, verbs ...string) {
	t.Helper()
	for _, verb := range verbs {
		if err := do(t, p, w, id, verb); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
}

func do(t *testing.T, p *local.Provider, w world, id nic.ID, verb string) error {
	op, at, _ := strings.Cut(verb, " ")
	place := map[string]nic.Place{"alpha": alpha, "beta": beta}[at]
	var err error
	switch op {
	case "attach":
		_, err = p.Attach(t.Context(), id, place)
	case "detach":
		err = p.Detach(t.Context(), id, place.Instance)
	case "delete":
		err = p.Delete(t.Context(), id)
	case "get":
		_, err = p.Get(t.Context(), id)
	case "clean", "unclean":
		for _, instance := range []nic.InstanceID{alpha.Instance, beta.Instance} {
			w.nodes.SetClean(instance, id, op == "clean")
		}
	default:
		t.Fatalf("no verb %q", verb)
	}
	return err
}

// stateOf is the state and the node, or "gone".
func stateOf(t *testing.T, p *local.Provider, id nic.ID) string {
	t.Helper()
	got, err := p.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return stateIn(got, id)
}

func stateIn(got map[nic.ID]nic.Seen, id nic.ID) string {
	seen, ok := got[id]
	if !ok {
		return "gone"
	}
	return strings.TrimSpace(string(seen.State) + " " + seen.Place.Node)
}
