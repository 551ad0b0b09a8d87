package migrate_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/nic"
)

const mib = 1 << 20

// plain are facts against which nothing stands.
func plain() migrate.Facts {
	node := func(name string) *nic.Node {
		return &nic.Node{Name: name, Phase: nic.NodeReady, Inventory: nic.Inventory{Moves: true, AgentVersion: "1"}}
	}
	claim := nic.Claim{
		ID: "clm-1", Tenant: "blue", Owner: nic.Owner{Node: "vm1", Sandbox: "c0ffee", Interface: "eth0"},
		Container: "web", Phase: nic.ClaimBound, NIC: "nic-1",
	}
	return migrate.Facts{
		Request: nic.MoveRequest{Container: "c0ffee", To: "vm2"},
		Claims:  []nic.Claim{claim},
		Room:    nic.MoveRoom{NICs: []nic.PlannedNIC{{Claim: claim.ID, NIC: claim.NIC, Interface: "eth0", Travel: "carry"}}},
		From:    node("vm1"), To: node("vm2"),
		Container: &nic.ContainerFacts{
			ID: "c0ffee", Name: "web", Image: "web:1", ImageID: "sha256:1", Size: 100 * mib, Running: true,
			Policy: nic.RestartPolicy{Name: "always"}, Grace: nic.Duration(10 * time.Second), NetworkMode: "none",
			Networks: []string{"none"}, Memory: 64 * mib, LogDriver: "json-file",
		},
		Here: &nic.NodeFacts{Moves: true, Arch: "amd64", OS: "linux", Driver: "overlay2"},
		There: &nic.NodeFacts{
			Moves: true, Arch: "amd64", OS: "linux", Driver: "overlay2", Memory: 512 * mib, Disk: 4096 * mib,
			HasImage: true, LogDrivers: []string{"json-file", "journald"},
		},
	}
}

// standBy are facts of a move of NICs alone.
func standBy() migrate.Facts {
	in := plain()
	in.Request = nic.MoveRequest{Kind: nic.MoveNIC, Container: "web", To: "vm2", Target: "spare"}
	in.Target = &nic.ContainerFacts{ID: "beef", Name: "spare", Running: true, NetworkMode: "none"}
	return in
}

func volume(change func(*nic.VolumeFacts)) nic.VolumeFacts {
	v := nic.VolumeFacts{Name: "data", Driver: "local", Target: "/data", Bytes: 5 * mib}
	if change != nil {
		change(&v)
	}
	return v
}

// A fault is one thing that stands against a move.
type fault struct {
	name string
	nics bool // of a move of NICs alone
	make func(*migrate.Facts)
	// about is what the refusal is about, says a part of it.
	about, says string
	nothing     bool // nothing helps, so that no remedy is named
}

// without are the facts as they are without it.
func (f fault) without() migrate.Facts {
	if f.nics {
		return standBy()
	}
	return plain()
}

func faults() []fault {
	return slices.Concat(requestFaults(), nodeFaults(), containerFaults(), storageFaults())
}

func requestFaults() []fault {
	phase := func(p nic.ClaimPhase) func(*migrate.Facts) {
		return func(in *migrate.Facts) { in.Claims[0].Phase = p }
	}
	return []fault{
		{name: "no claims", make: func(in *migrate.Facts) { in.Claims = nil }, about: "claim", says: `no container "web"`},
		{name: "claim refused", make: func(in *migrate.Facts) {
			in.Claims[0].Phase = nic.ClaimRefused
			in.Claims[0].Conditions = []nic.Condition{{Message: "the quota is used up"}}
		}, about: "claim", says: "the quota is used up"},
		{name: "claim releasing", make: phase(nic.ClaimReleasing), about: "claim", says: "is being released", nothing: true},
		{name: "claim moving", make: func(in *migrate.Facts) {
			in.Claims[0].Phase, in.Claims[0].Move = nic.ClaimMoving, &nic.ClaimMove{Move: "mov-7"}
		}, about: "claim", says: "on a move already, mov-7"},
		{name: "claim parked", make: func(in *migrate.Facts) {
			in.Claims[0].Phase, in.Claims[0].Move = nic.ClaimParked, &nic.ClaimMove{Move: "mov-7"}
		}, about: "claim", says: "parked, mov-7"},
		{name: "no NIC yet", make: func(in *migrate.Facts) { in.Claims[0].Phase, in.Claims[0].NIC = nic.ClaimPending, "" }, about: "claim", says: "has no NIC yet"},
		{name: "no such kind", make: func(in *migrate.Facts) { in.Request.Kind = "house" }, about: "request", says: `"house"`},
		{name: "no such rule", make: func(in *migrate.Facts) { in.Request.Options.Layer = "burn" }, about: "layer", says: `"burn"`},
		{name: "wait below zero", make: func(in *migrate.Facts) { in.Request.Options.Wait = -1 }, about: "request", says: "below zero", nothing: true},
		{name: "another name", make: func(in *migrate.Facts) { in.Request.Target = "www" }, about: "name", says: "keeps its name"},
		{name: "no target", nics: true, make: func(in *migrate.Facts) { in.Request.Target = "" }, about: "target", says: "not named"},
		{name: "checkpoint of NICs", nics: true, make: func(in *migrate.Facts) { in.Request.Options.Checkpoint = true }, about: "checkpoint", says: "no process moves", nothing: true},
		{name: "stand-by unknown", nics: true, make: func(in *migrate.Facts) { in.Target = nil }, about: "target", says: "does not say what spare is"},
		{name: "no stand-by", nics: true, make: func(in *migrate.Facts) { in.Target, in.NoTarget = nil, true }, about: "target", says: "there is no container spare on vm2"},
		{name: "moves already", make: func(in *migrate.Facts) {
			in.Claims[0].Phase, in.Claims[0].Move = nic.ClaimMoving, &nic.ClaimMove{Move: "mov-0123456789abcdef"}
			in.There.NameUsed = true // by what the move has made there, which nobody is to remove
		}, about: "claim", says: "on a move already"},
		{name: "stand-by stopped", nics: true, make: func(in *migrate.Facts) { in.Target.Running = false }, about: "target", says: "does not run"},
		{name: "stand-by paused", nics: true, make: func(in *migrate.Facts) { in.Target.Paused = true }, about: "target", says: "is paused"},
		{name: "stand-by in the host's namespace", nics: true, make: func(in *migrate.Facts) { in.Target.NetworkMode = "host" }, about: "target", says: "no network namespace of its own"},
		{name: "what the records say", make: func(in *migrate.Facts) {
			in.Room.Refusals = []nic.MoveRefusal{{About: "slots", Why: "none is free", Remedy: "free one"}}
		}, about: "slots", says: "none is free"},
	}
}

func nodeFaults() []fault {
	to := func(p nic.NodePhase) func(*migrate.Facts) {
		return func(in *migrate.Facts) {
			in.To.Phase = p
			in.Room.Refusals = append(in.Room.Refusals, nic.MoveRefusal{About: "node", Why: "as the records have it"}) // is not said twice
		}
	}
	return []fault{
		{name: "nowhere", make: func(in *migrate.Facts) { in.Request.To, in.To = "", nil }, about: "node", says: "not said where to"},
		{name: "unknown node", make: func(in *migrate.Facts) { in.To = nil }, about: "node", says: "there is no node vm2"},
		{name: "silent", make: to(nic.NodeSilent), about: "node", says: "the agent of vm2 has said nothing"},
		{name: "revoked", make: to(nic.NodeRevoked), about: "node", says: "the trust of vm2 is taken away"},
		{name: "lost", make: to(nic.NodeLost), about: "node", says: "vm2 is given up", nothing: true},
		{name: "source silent", make: func(in *migrate.Facts) { in.From.Phase = nic.NodeSilent }, about: "node", says: "the agent of vm1 has said nothing"},
		{name: "draining", make: func(in *migrate.Facts) { in.Draining = []string{"vm2"} }, about: "node", says: "vm2 is being drained"},
		{name: "same node", make: func(in *migrate.Facts) { in.Request.To, in.To = "vm1", in.From }, about: "node", says: "on vm1 already"},
		{name: "takes no orders", make: func(in *migrate.Facts) { in.To.Inventory.Moves = false }, about: "node", says: "vm2 (release 1) takes no orders"},
		{name: "source takes no orders", make: func(in *migrate.Facts) {
			in.From.Inventory, in.Container = nic.Inventory{}, nil
		}, about: "node", says: "vm1 (release unknown) takes no orders"},
		{name: "did not say", make: func(in *migrate.Facts) {
			in.Container, in.Unsaid = nil, map[string]string{"vm1": "docker is down"}
		}, about: "node", says: "docker is down"},
		{name: "says nothing of it", make: func(in *migrate.Facts) { in.Container = nil }, about: "container", says: "does not say what web is", nothing: true},
	}
}

func containerFaults() []fault {
	is := func(change func(*nic.ContainerFacts)) func(*migrate.Facts) {
		return func(in *migrate.Facts) { change(in.Container) }
	}
	return []fault{
		{name: "paused", make: is(func(c *nic.ContainerFacts) { c.Paused = true }), about: "container", says: "web is paused"},
		{name: "published", make: is(func(c *nic.ContainerFacts) { c.Published = []string{"0.0.0.0:80->80/tcp"} }), about: "ports", says: "80->80/tcp"},
		{name: "privileged", make: is(func(c *nic.ContainerFacts) { c.Privileged = true }), about: "privileged", says: "is privileged"},
		{name: "devices", make: is(func(c *nic.ContainerFacts) { c.Devices = []string{"/dev/kvm"} }), about: "devices", says: "/dev/kvm", nothing: true},
		{name: "binds", make: is(func(c *nic.ContainerFacts) { c.Binds = []string{"/srv"} }), about: "binds", says: "/srv"},
		{name: "autoremove", make: is(func(c *nic.ContainerFacts) { c.AutoRemove = true }), about: "autoremove", says: "--rm"},
		{name: "shares", make: is(func(c *nic.ContainerFacts) { c.Shares = []string{"pid=host"} }), about: "shares", says: "pid=host"},
		{name: "network of the host", make: is(func(c *nic.ContainerFacts) { c.NetworkMode = "host" }), about: "shares", says: "network=host"},
		{name: "network of another", make: is(func(c *nic.ContainerFacts) { c.NetworkMode = "container:1" }), about: "shares", says: "network=container:1"},
		{name: "Docker network", make: is(func(c *nic.ContainerFacts) { c.Networks = []string{"back"} }), about: "docker-network", says: "back"},
		{name: "name clash", make: func(in *migrate.Facts) { in.There.NameUsed = true }, about: "name", says: "a container web on vm2"},
		{name: "memory", make: func(in *migrate.Facts) { in.There.Memory = 63 * mib }, about: "memory", says: "needs 64.0 MiB"},
		{name: "storage driver", make: func(in *migrate.Facts) {
			in.Request.Options.Layer, in.Container.Written, in.There.Driver = nic.CopyCopy, 1, "vfs"
		}, about: "layer", says: "vfs"},
		{name: "log driver", make: is(func(c *nic.ContainerFacts) { c.LogDriver = "loki" }), about: "log-driver", says: "loki"},
		{name: "architecture", make: func(in *migrate.Facts) { in.There.Arch = "arm64" }, about: "image", says: "linux/arm64", nothing: true},
		{name: "checkpoint on nodes that say nothing", make: func(in *migrate.Facts) { in.Request.Options.Checkpoint = true }, about: "checkpoint", says: "no move carries"},
		{name: "checkpoint here", make: func(in *migrate.Facts) {
			in.Request.Options.Checkpoint, in.Here.NoCheckpoint = true, "no criu"
		}, about: "checkpoint", says: "vm1: no criu"},
		{name: "checkpoint there", make: func(in *migrate.Facts) {
			in.Request.Options.Checkpoint, in.There.NoCheckpoint = true, "not experimental"
		}, about: "checkpoint", says: "vm2: not experimental"},
		{name: "checkpoint of a stopped one", make: func(in *migrate.Facts) {
			in.Request.Options.Checkpoint, in.Container.Running = true, false
		}, about: "checkpoint", says: "does not run"},
	}
}

func storageFaults() []fault {
	has := func(rule nic.CopyRule, change func(*nic.VolumeFacts)) func(*migrate.Facts) {
		return func(in *migrate.Facts) {
			in.Container.Volumes = []nic.VolumeFacts{volume(change)}
			in.Request.Options.Volumes = rule
		}
	}
	return []fault{
		{name: "volumes", make: has("", nil), about: "volumes", says: "1 with 5.0 MiB: data at /data"},
		{name: "volume of a plugin", make: has(nic.CopyCopy, func(v *nic.VolumeFacts) { v.Driver = "nfs" }), about: "volumes", says: "driver nfs"},
		{name: "volume of others", make: has(nic.CopyCopy, func(v *nic.VolumeFacts) { v.Others = []string{"db"} }), about: "volumes", says: "used by db"},
		{name: "volume is there", make: func(in *migrate.Facts) {
			has(nic.CopyCopy, nil)(in)
			in.There.Volumes = []string{"data"}
		}, about: "volumes", says: "a volume data on vm2"},
		{name: "layer", make: func(in *migrate.Facts) {
			in.Container.Written, in.Container.WrittenFirst, in.Container.WrittenBytes = 4, []string{"/a", "/b", "/c"}, 2048
		}, about: "layer", says: "4 paths with 2.0 KiB (/a, /b, /c, …)"},
		{name: "disk", make: func(in *migrate.Facts) { in.There.HasImage, in.There.Disk = false, 99*mib }, about: "disk", says: "100.0 MiB is to be copied"},
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			in := f.without()
			if plan := migrate.NewPlan(in); len(plan.Refusals) > 0 {
				t.Fatalf("without it: %v", plan.Refusals)
			}
			f.make(&in)
			plan := migrate.NewPlan(in)
			if len(plan.Refusals) != 1 {
				if f.name != "no claims" { // without whom it is not known where it is either
					t.Fatalf("want one refusal, got %v", plan.Refusals)
				}
			}
			r := plan.Refusals[0]
			if r.About != f.about || !strings.Contains(r.Why, f.says) {
				t.Errorf("refused is %+v, want %s: …%s…", r, f.about, f.says)
			}
			if (r.Remedy == "") != f.nothing && f.about != "slots" {
				t.Errorf("the remedy of %+v: want none is %v", r, f.nothing)
			}
		})
	}
}

// Whatever stands against a move is said at once.
func TestPlanRefusesAllAtOnce(t *testing.T) {
	in := plain()
	var want []string
	for _, f := range slices.Concat(containerFaults(), storageFaults()) {
		if strings.HasPrefix(f.name, "checkpoint o") || f.name == "storage driver" || strings.HasPrefix(f.name, "volume ") {
			continue // which rules out another
		}
		was := in.Container.Networks
		f.make(&in)
		in.Container.Networks = append(in.Container.Networks, was...)
		want = append(want, f.about)
	}
	for _, f := range []string{"draining", "takes no orders", "claim refused", "what the records say"} {
		at := slices.IndexFunc(faults(), func(each fault) bool { return each.name == f })
		faults()[at].make(&in)
		want = append(want, faults()[at].about)
	}
	var got []string
	for _, r := range migrate.NewPlan(in).Refusals {
		got = append(got, r.About)
	}
	for _, about := range want {
		if !slices.Contains(got, about) {
			t.Errorf("nothing is said about %s", about)
		}
	}
	if len(got) < len(want)-2 { // pid and network are said together
		t.Errorf("%d refusals for %d faults: %q", len(got), len(want), got)
	}
}

// The same facts give the same plan, and are left as they were.
func TestPlanIsPure(t *testing.T) {
	for _, f := range faults() {
		in, same := f.without(), f.without()
		f.make(&in)
		f.make(&same)
		first := migrate.NewPlan(in)
		if second := migrate.NewPlan(in); !reflect.DeepEqual(first, second) {
			t.Errorf("%s: another plan the second time:\n%s", f.name, cmp.Diff(first, second))
		}
		if !reflect.DeepEqual(in, same) {
			t.Errorf("%s: the facts were changed:\n%s", f.name, cmp.Diff(same, in))
		}
	}
}

func stepNames(plan nic.MovePlan) []string {
	var names []string
	for _, s := range plan.Steps {
		names = append(names, s.Name)
	}
	return names
}

func TestPlanSteps(t *testing.T) {
	tests := []struct {
		name    string
		facts   func() migrate.Facts
		make    func(*migrate.Facts)
		steps   string
		silence time.Duration
		risk    string
	}{
		{
			name: "plain", steps: "fence restarts-off create stop nic-out start nic-in pivot restarts-on drop",
			silence: 100*time.Millisecond + 470*time.Millisecond, risk: "for up to 9.9s more",
		},
		{
			name: "without a restart policy, kept", make: func(in *migrate.Facts) {
				in.Container.Policy, in.Request.Options.Keep, in.Request.Options.Grace = nic.RestartPolicy{Name: "no"}, true, nic.Duration(time.Second)
			},
			steps: "fence create stop nic-out start nic-in pivot", silence: 100*time.Millisecond + 470*time.Millisecond, risk: "stays on vm1, stopped",
		},
		{
			name: "with all", make: func(in *migrate.Facts) {
				in.There.HasImage = false
				in.Container.Volumes = []nic.VolumeFacts{volume(nil)}
				in.Container.Written, in.Container.WrittenBytes = 1, 50*mib
				in.Request.Options = nic.MoveOptions{Volumes: nic.CopyCopy, Layer: nic.CopyCopy, Wait: nic.Duration(time.Minute)}
				in.Room.NICs[0].Travel = "rebuild"
			},
			steps:   "fence restarts-off image create stop volumes layer nic-out start nic-in health pivot restarts-on drop",
			silence: 100*time.Millisecond + 1100*time.Millisecond + 360*time.Millisecond, risk: "no health check",
		},
		{
			name: "stopped", make: func(in *migrate.Facts) { in.Container.Running, in.Claims[0].NIC = false, "" },
			steps: "fence restarts-off create stop nic-out nic-in pivot restarts-on drop", risk: "does not run",
		},
		{
			name: "by address", make: func(in *migrate.Facts) { in.Room.NICs[0].Travel = "readdress" },
			steps:   "fence restarts-off create reserve stop nic-out start nic-in pivot restarts-on drop",
			silence: 100*time.Millisecond + 2330*time.Millisecond, risk: "gets another MAC",
		},
		{
			name: "NICs alone, by address", facts: standBy, make: func(in *migrate.Facts) { in.Room.NICs[0].Travel = "readdress" },
			steps: "fence aim reserve nic-out nic-in pivot", silence: 2030 * time.Millisecond, risk: "is on one that no container has",
		},
		{name: "NICs alone", facts: standBy, steps: "fence aim nic-out nic-in pivot", silence: 170 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := plain()
			if test.facts != nil {
				in = test.facts()
			}
			if test.make != nil {
				test.make(&in)
			}
			plan := migrate.NewPlan(in)
			if len(plan.Refusals) > 0 {
				t.Fatalf("refused: %v", plan.Refusals)
			}
			if got := strings.Join(stepNames(plan), " "); got != test.steps {
				t.Errorf("the steps are %s\nwant          %s", got, test.steps)
			}
			if got := plan.Silence.D(); got != test.silence {
				t.Errorf("silent for %v, want %v", got, test.silence)
			}
			more := time.Duration(0) // what is left of its grace period
			if strings.Contains(test.steps, " start ") {
				more = 10*time.Second - 100*time.Millisecond
				if in.Request.Options.Grace > 0 {
					more = in.Request.Options.Grace.D() - 100*time.Millisecond
				}
			}
			if plan.SilenceAtMost != plan.Silence+nic.Duration(more) {
				t.Errorf("silent for %v at most, and for %v as a rule", plan.SilenceAtMost, plan.Silence)
			}
			if !strings.Contains(strings.Join(plan.Risks, "\n"), test.risk) {
				t.Errorf("the risks are %q, want one with %q", plan.Risks, test.risk)
			}
			pivots := 0
			for _, s := range plan.Steps {
				if s.Pivot {
					pivots++
				}
				if s.About == "" {
					t.Errorf("nothing is said of step %s", s.Name)
				}
			}
			if pivots != 1 {
				t.Errorf("%d pivots", pivots)
			}
		})
	}
}

func TestPlanCopies(t *testing.T) {
	in := plain()
	in.There.HasImage = false
	in.Container.Digests = []string{"hub/web@sha256:9"}
	in.Container.Volumes = []nic.VolumeFacts{volume(nil), volume(func(v *nic.VolumeFacts) { v.Name, v.Anonymous = "cafe", true })}
	in.Container.Written, in.Container.WrittenBytes = 2, 7
	in.Request.Options = nic.MoveOptions{Volumes: nic.CopyCopy, Layer: nic.CopyCopy}
	plan := migrate.NewPlan(in)
	want := []nic.PlannedCopy{
		{What: nic.StreamImage, Ref: "hub/web@sha256:9", Bytes: 100 * mib, Pull: true},
		{What: nic.StreamVolume, Ref: "data", Bytes: 5 * mib},
		{What: nic.StreamVolume, Ref: "cafe", Bytes: 5 * mib},
		{What: nic.StreamLayer, Ref: "c0ffee", Bytes: 7},
	}
	if diff := cmp.Diff(want, plan.Copies); diff != "" {
		t.Errorf("copies:\n%s", diff)
	}
	move := migrate.NewMove("mov-1", in, plan, time.Unix(1, 0))
	if !slices.Equal(move.Volumes, []string{"data", "cafe"}) || move.VolumesThere != nil {
		t.Errorf("made there are %q, there are %q", move.Volumes, move.VolumesThere)
	}
	in.Request.Options.Volumes, in.There.Volumes = nic.CopyIgnore, []string{"data"}
	plan = migrate.NewPlan(in)
	move = migrate.NewMove("mov-1", in, plan, time.Unix(1, 0))
	if len(plan.Refusals) > 0 || len(plan.Copies) != 2 || !slices.Equal(move.Volumes, []string{"cafe"}) || !slices.Equal(move.VolumesThere, []string{"data"}) {
		t.Errorf("left behind: %v; copies %v; made there are %q, there are %q", plan.Refusals, plan.Copies, move.Volumes, move.VolumesThere)
	}
}

func TestNewMove(t *testing.T) {
	in := plain()
	in.Request.Options.Grace = nic.Duration(time.Second)
	plan := migrate.NewPlan(in)
	got := migrate.NewMove("mov-1", in, plan, time.Unix(1, 0))
	got.Steps = nil
	want := nic.Move{
		Schema: nic.Schema, ID: "mov-1", Tenant: "blue", Kind: nic.MoveContainer, Container: "web", Target: "web", From: "vm1", To: "vm2",
		Claims: []nic.ClaimID{"clm-1"}, Sandbox: "c0ffee", Phase: nic.MoveForward, Was: nic.RestartPolicy{Name: "always"},
		Options: nic.MoveOptions{Volumes: nic.CopyRefuse, Layer: nic.CopyRefuse, Grace: nic.Duration(time.Second)},
		Grace:   nic.Duration(time.Second), Image: "sha256:1", ImageName: "web:1", Created: time.Unix(1, 0),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the record:\n%s", diff)
	}
	in = standBy()
	if got := migrate.NewMove("mov-1", in, migrate.NewPlan(in), time.Unix(1, 0)); got.TargetSandbox != "beef" || got.Target != "spare" || got.Kind != nic.MoveNIC {
		t.Errorf("of NICs alone: %+v", got)
	}
}

// What a node says of a container is no more than Docker takes.
func TestNewMoveOfANodeThatLies(t *testing.T) {
	t.Parallel()
	in := plain()
	in.Container.Grace = nic.Duration(time.Hour * 1e5)
	in.Container.Policy = nic.RestartPolicy{Name: "for ever", Retries: -7}
	move := migrate.NewMove("mov-1", in, migrate.NewPlan(in), time.Unix(1, 0))
	if move.Grace != nic.Duration(time.Hour) || move.Was != (nic.RestartPolicy{Name: "no"}) {
		t.Errorf("grace %s, policy %+v", move.Grace.D(), move.Was)
	}
	in.Container.Policy = nic.RestartPolicy{Name: "always", Retries: 3}
	if move := migrate.NewMove("mov-1", in, migrate.NewPlan(in), time.Unix(1, 0)); move.Was != (nic.RestartPolicy{Name: "always"}) {
		t.Errorf("policy %+v", move.Was)
	}
}
