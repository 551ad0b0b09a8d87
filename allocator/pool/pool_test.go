package pool_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	now    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	here   = pool.Machine{Provider: "cloud", Instance: "i-1"}
	macA   = nic.MAC{0xe2, 0x4e, 0, 0, 0, 1}
	macB   = nic.MAC{0xe2, 0x4e, 0, 0, 0, 2}
	web    = pool.Network{Name: "web", Machine: here, Pool: nic.Pool{Min: 1, Max: 2, Idle: nic.Duration(time.Minute)}}
	wanted = pool.Demand{Claim: "clm-a", Network: "web"}
)

func item(id nic.ID, state pool.State, age time.Duration) pool.Item {
	return pool.Item{ID: id, Network: "web", Machine: here, MAC: macA, State: state, Since: now.Add(-age)}
}

func TestWhichSpareFitsAClaim(t *testing.T) {
	for name, c := range map[string]struct {
		network pool.Network
		edit    func(*pool.Demand, *pool.Item)
		want    bool
	}{
		"a spare and a claim without a MAC":    {web, func(*pool.Demand, *pool.Item) {}, true},
		"one that is being made":               {web, func(_ *pool.Demand, it *pool.Item) { it.State = pool.Making }, true},
		"another network's":                    {web, func(_ *pool.Demand, it *pool.Item) { it.Network = "db" }, false},
		"another machine's":                    {web, func(_ *pool.Demand, it *pool.Item) { it.Machine.Instance = "i-2" }, false},
		"one of before a change of the config": {web, func(_ *pool.Demand, it *pool.Item) { it.Stale = true }, false},
		"a claim's":                            {web, func(_ *pool.Demand, it *pool.Item) { it.State = pool.Held }, false},
		"one that leaves":                      {web, func(_ *pool.Demand, it *pool.Item) { it.State = pool.Leaving }, false},
		"a claim with another MAC":             {web, func(d *pool.Demand, _ *pool.Item) { d.MAC = macB }, false},
		"a claim with its MAC":                 {web, func(d *pool.Demand, _ *pool.Item) { d.MAC = macA }, true},
		"S14: another tenant's":                {web, func(_ *pool.Demand, it *pool.Item) { it.Tenant = "other" }, false},
		"S14: another tenant's, and its MAC":   {web, func(d *pool.Demand, it *pool.Item) { it.Tenant, d.MAC = "other", macA }, false},
		"S14: one that nobody has had":         {web, func(d *pool.Demand, it *pool.Item) { d.Tenant, it.Tenant, it.New = "other", "", true }, true},
		"S14: the default tenant's of old":     {web, func(d *pool.Demand, it *pool.Item) { d.Tenant, it.Tenant = "default", "" }, true},
		"one that cools":                       {web, func(_ *pool.Demand, it *pool.Item) { it.State = pool.Cooling }, false},
		"one that cools, for whom had it":      {web, func(d *pool.Demand, it *pool.Item) { it.State, d.MAC = pool.Cooling, macA }, true},
		"one that cools, and another MAC":      {web, func(d *pool.Demand, it *pool.Item) { it.State, d.MAC = pool.Cooling, macB }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, it := wanted, item("nic-a", pool.Spare, 0)
			c.edit(&d, &it)
			if got := c.network.Fits(d, it); got != c.want {
				t.Errorf("fits: %t, want %t", got, c.want)
			}
		})
	}
}

func TestTheBestOfSeveralIsChosen(t *testing.T) {
	ready := item("nic-ready", pool.Spare, time.Hour)
	ready.Ready = true
	own := item("nic-own", pool.Spare, time.Hour)
	own.MAC = macB
	young := item("nic-young", pool.Spare, time.Second)
	making := item("nic-making", pool.Making, 0)
	old := item("nic-old", pool.Spare, time.Minute)
	for name, c := range map[string]struct {
		mac   nic.MAC
		items []pool.Item
		want  nic.ID
	}{
		"none":                          {nic.MAC{}, nil, ""},
		"one that the node has":         {nic.MAC{}, []pool.Item{young, ready}, "nic-ready"},
		"the youngest":                  {nic.MAC{}, []pool.Item{old, young}, "nic-young"},
		"one that is there":             {nic.MAC{}, []pool.Item{making, old}, "nic-old"},
		"one that comes":                {nic.MAC{}, []pool.Item{making}, "nic-making"},
		"its own of old, before others": {macB, []pool.Item{young, own}, "nic-own"},
	} {
		t.Run(name, func(t *testing.T) {
			d := wanted
			d.MAC = c.mac
			if got, ok := web.Choose(d, c.items); got.ID != c.want || ok != (c.want != "") {
				t.Errorf("chose %q, %t; want %q", got.ID, ok, c.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	db := pool.Network{Name: "db", Machine: here}
	for name, c := range map[string]struct {
		capacity int
		networks []pool.Network
		items    []pool.Item
		demand   []pool.Demand
		want     string
	}{
		"the least is made":           {4, []pool.Network{web}, nil, nil, "create web"},
		"not without a slot":          {1, []pool.Network{web}, []pool.Item{item("nic-h", pool.Held, 0)}, nil, "missing 1"},
		"not before a claim has one":  {1, []pool.Network{web, db}, nil, []pool.Demand{{Claim: "clm-b", Network: "db"}}, "missing 1"},
		"not while it is paused":      {4, []pool.Network{{Name: "web", Machine: here, Pool: web.Pool, Paused: true}}, nil, nil, ""},
		"a clean one stays":           {4, []pool.Network{web}, []pool.Item{item("nic-c", pool.Clean, 0)}, nil, "keep nic-c"},
		"a clean one without a pool":  {4, []pool.Network{db}, []pool.Item{{ID: "nic-c", Network: "db", Machine: here, State: pool.Clean}}, nil, "retire nic-c"},
		"a clean one too many":        {9, []pool.Network{web}, []pool.Item{item("nic-1", pool.Spare, 0), item("nic-2", pool.Spare, 0), item("nic-c", pool.Clean, 0)}, nil, "retire nic-c, again"},
		"idle beyond the least":       {9, []pool.Network{web}, []pool.Item{item("nic-1", pool.Spare, time.Hour), item("nic-2", pool.Spare, 2*time.Minute)}, nil, "retire nic-1"},
		"not yet idle":                {9, []pool.Network{web}, []pool.Item{item("nic-1", pool.Spare, 59*time.Second), item("nic-2", pool.Spare, 0)}, nil, "again"},
		"a claim takes one":           {2, []pool.Network{web}, []pool.Item{item("nic-1", pool.Spare, 0)}, []pool.Demand{wanted}, "give nic-1 to clm-a, create web"},
		"another network's claim":     {1, []pool.Network{web, db}, []pool.Item{item("nic-1", pool.Spare, 0)}, []pool.Demand{{Claim: "clm-b", Network: "db"}}, "retire nic-1, missing 1"},
		"a slot is coming":            {2, []pool.Network{web, db}, []pool.Item{item("nic-1", pool.Spare, 0), item("nic-2", pool.Leaving, 0)}, []pool.Demand{{Claim: "clm-b", Network: "db"}}, ""},
		"who runs comes first":        {1, []pool.Network{web}, []pool.Item{item("nic-1", pool.Spare, 0)}, []pool.Demand{{Claim: "clm-b", Network: "web", Ahead: true}, wanted}, "give nic-1 to clm-a, missing 1"},
		"a network that is gone":      {4, nil, []pool.Item{item("nic-1", pool.Spare, 0)}, nil, "retire nic-1"},
		"a clean one, but short":      {1, []pool.Network{web, db}, []pool.Item{item("nic-c", pool.Clean, 0)}, []pool.Demand{{Claim: "clm-b", Network: "db"}}, "retire nic-c, missing 1"},
		"surplus for another's least": {2, []pool.Network{web, {Name: "db", Machine: here, Pool: nic.Pool{Min: 1, Max: 1}}}, []pool.Item{item("nic-1", pool.Spare, 9), item("nic-2", pool.Spare, 0)}, nil, "retire nic-1, missing 1, again"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := pool.Decide(now, map[pool.Machine]int{here: c.capacity}, c.networks, c.items, c.demand)
			if got := words(plan); got != c.want {
				t.Errorf("got  %q\nwant %q\n(%+v)", got, c.want, plan)
			}
		})
	}
}
