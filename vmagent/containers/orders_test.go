//go:build linux

package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// hush is a secret that must show up nowhere.
const hush = "hunter2-and-more"

// A pair is two engines, and a move from one to the other.
type pair struct {
	*testing.T
	a, b *rig
	move nic.MoveID
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t, newRig(t), newRig(t), nic.NewMoveID()}
	// Each engine has made an image of its own, of that name.
	p.b.docker("image", "rm", lab.ImageName)
	p.must(p.copy(nic.Task{What: nic.StreamImage, Ref: p.a.docker("inspect", "--format={{.Id}}", lab.ImageName)}))
	return p
}

// on returns the pair for a test below, with a move of its own.
func (p *pair) on(t *testing.T) *pair {
	return &pair{t, &rig{T: t, lab: p.a.lab, engine: p.a.engine}, &rig{T: t, lab: p.b.lab, engine: p.b.engine}, nic.NewMoveID()}
}

// create makes on b what the container on a is.
func (p *pair) create(id, name string) (string, error) {
	p.Helper()
	return p.b.engine.Create(p.Context(), nic.Task{
		Move: p.move, Name: name, Claims: []nic.ClaimID{"clm-1", "clm-2"}, Networks: []string{"shop", "back"},
		NewVolumes: []string{"data", "data2", "memory", "dev", "theirs"},
		Asks:       []nic.Request{{Interface: "eth0", Network: "blue"}},
	},
		p.read(nic.Task{What: nic.StreamConfig, Container: id}))
}

func (p *pair) read(task nic.Task) []byte {
	p.Helper()
	body, _, err := p.a.engine.Send(p.Context(), task)
	if err != nil {
		p.Fatal(err)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		p.Fatal(err)
	}
	if err := body.Close(); err != nil {
		p.Fatal(err)
	}
	return data
}

func (p *pair) made(id, name string) string {
	p.Helper()
	made, err := p.create(id, name)
	if err != nil {
		p.Fatal(err)
	}
	return made
}

// copy carries one thing from a to b.
func (p *pair) copy(task nic.Task) error {
	p.Helper()
	task.Move = p.move
	return p.b.engine.Take(p.Context(), task, bytes.NewReader(p.read(task)))
}

// sh runs a script in a container.
func (r *rig) sh(id, script string) string {
	r.Helper()
	return r.docker("exec", id, "sh", "-c", script)
}

func (p *pair) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	t.Run("of a life", func(t *testing.T) { orders(p.on(t)) })
	t.Run("no secret in errors", func(t *testing.T) { noSecret(p.on(t)) })
	t.Run("volumes and layer", func(t *testing.T) { volumesAndLayer(p.on(t)) })
	t.Run("volume from elsewhere", func(t *testing.T) { volumeFromElsewhere(p.on(t)) })
	t.Run("image", func(t *testing.T) { imageGoesAlong(p.on(t)) })
}

func orders(p *pair) {
	ctx, a, b := p.Context(), p.a.engine, p.b.engine
	id := p.a.run("--name=life", "--restart=always", lab.ImageName)
	source := nic.Task{Container: id, Move: p.move}
	off := nic.Task{Container: "life", Policy: nic.RestartPolicy{Name: "no"}}
	p.must(a.Policy(ctx, off))
	p.must(a.Policy(ctx, off))
	if f, err := a.Describe(ctx, "life"); err != nil || f.Policy.Name != "no" {
		p.Errorf("policy %+v, %v", f.Policy, err)
	}
	target := nic.Task{Move: p.move}
	if err := b.Start(ctx, target); !errors.Is(err, ErrNotFound) || Passing(err) {
		p.Errorf("start of what was never made: %v, want ErrNotFound", err)
	}
	p.must(b.Stop(ctx, target))
	p.must(b.Remove(ctx, target))
	made := p.made(id, "life")
	if again := p.made(id, "life"); again != made {
		p.Errorf("made twice: %s and %s", made, again)
	}
	if found, is, err := b.findMove(ctx, p.move); err != nil || !is || found != made {
		p.Errorf("found %s, %t, %v; want %s", found, is, err, made)
	}
	for range 2 {
		p.must(b.Start(ctx, target))
		p.must(b.Health(ctx, target))
	}
	if err := b.Remove(ctx, target); err == nil {
		p.Error("a container that runs was removed")
	}
	for range 2 {
		p.must(b.Stop(ctx, nic.Task{Move: p.move, Grace: nic.Duration(time.Millisecond)}))
		p.must(a.Stop(ctx, source))
	}
	if p.b.get(made).Running || p.a.get(id).Running {
		p.Error("it runs after it was stopped")
	}
	for range 2 {
		p.must(b.Remove(ctx, target))
		p.must(a.Remove(ctx, source))
	}
	p.must(a.Stop(ctx, source))
	if err := a.Start(ctx, source); !errors.Is(err, ErrNotFound) {
		p.Errorf("start of a removed one: %v, want ErrNotFound", err)
	}
	p.b.docker("create", "--name=life", movedImages+lab.ImageName)
	id = p.a.run("--name=life", lab.ImageName)
	if _, err := p.create(id, "life"); !errors.Is(err, ErrTaken) {
		p.Errorf("made beside another of that name: %v, want ErrTaken", err)
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	t.Run("describe and survey", func(t *testing.T) { describeAndSurvey(&rig{T: t, lab: r.lab, engine: r.engine}) })
	t.Run("health says why", func(t *testing.T) { healthSaysWhy(&rig{T: t, lab: r.lab, engine: r.engine}) })
}

func healthSaysWhy(r *rig) {
	check := func(command string) []string {
		return []string{"--env=SECRET=" + hush, "--health-interval=100ms", "--health-retries=1", "--health-cmd=" + command, lab.ImageName}
	}
	for name, tt := range map[string]struct {
		id   string
		want string
	}{
		"healthy":   {r.run(check("true")...), ""},
		"unhealthy": {r.run(check("echo first; echo last $SECRET; false")...), "its check ended with status 1"},
		"ended":     {r.run(lab.ImageName, "sh", "-c", "exit 7"), "status 7"},
		"unstarted": {r.docker("create", "--network=none", lab.ImageName), "has not been started"},
	} {
		limit := patience
		if name == "unstarted" {
			limit = 5 * time.Second // in which it is looked at, also on a busy machine
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		err := r.engine.Health(ctx, nic.Task{Container: tt.id})
		cancel()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), hush)) {
			r.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func describeAndSurvey(r *rig) {
	id := r.run("--name=web", "--env=SECRET="+hush, "--label=token="+hush, "--log-opt=tag="+hush, "--stop-timeout=3",
		"--restart=on-failure:2", "--tmpfs=/scratch", "--volume=data:/srv/data", "--volume=/anon", "--memory=64m", "--health-cmd=true "+hush,
		lab.ImageName, "sh", "-c", "rm /etc/group; echo x >/root/x; touch /tmp/y; rm /tmp/y; echo abc >/srv/data/f; sleep 1000; echo "+hush)
	other := r.run("--name=other", "--volume=data:/data", lab.ImageName)
	r.sh(id, "until test -s /srv/data/f; do sleep 0.1; done")
	f, err := r.engine.Describe(r.Context(), "web")
	if err != nil {
		r.Fatal(err)
	}
	if text, err := json.Marshal(f); err != nil || strings.Contains(string(text), hush) {
		r.Errorf("a secret is among the facts, or %v: %s", err, text)
	}
	if f.ID != id || f.Name != "web" || f.Image != lab.ImageName || !f.Running || f.Grace.D() != 3*time.Second ||
		f.Policy != (nic.RestartPolicy{Name: "on-failure", Retries: 2}) || !f.Health || f.Memory != 64<<20 || f.Size == 0 || f.LogDriver != "json-file" {
		r.Errorf("got %+v", f)
	}
	if f.Written != 2 || !slices.Equal(f.WrittenFirst, []string{"/etc/group", "/root/x"}) || f.WrittenBytes == 0 {
		r.Errorf("written %d %q %d bytes", f.Written, f.WrittenFirst, f.WrittenBytes)
	}
	if len(f.Shares)+len(f.Binds)+len(f.Devices)+len(f.Published)+len(f.Networks) != 0 || f.Privileged {
		r.Errorf("tied to its node: %+v", f)
	}
	slices.SortFunc(f.Volumes, func(a, b nic.VolumeFacts) int { return strings.Compare(b.Target, a.Target) })
	if len(f.Volumes) != 2 || f.Volumes[0].Name != "data" || f.Volumes[0].Anonymous || f.Volumes[0].Bytes != 4 ||
		!slices.Equal(f.Volumes[0].Others, []string{"other"}) || !f.Volumes[1].Anonymous || f.Volumes[1].Others != nil {
		r.Errorf("volumes %+v", f.Volumes)
	}
	if f, err := r.engine.Describe(r.Context(), other); err != nil || f.Memory == 0 || f.Written != 0 {
		r.Errorf("without a limit: %+v, %v", f, err)
	}
	n, err := r.engine.Survey(r.Context(), nic.Task{Name: "web", Ref: "nowhere/none:1", Image: f.ImageID, Volumes: []string{"data", "none"}, Networks: []string{"host", "none-such"}})
	if err != nil || !n.NameUsed || !n.HasImage || !slices.Equal(n.Volumes, []string{"data"}) || !slices.Equal(n.Networks, []string{"host"}) ||
		n.Memory == 0 || n.Disk == 0 || n.Driver != "overlay2" || n.Arch == "" || !slices.Contains(n.LogDrivers, "json-file") || n.NoCheckpoint == "" {
		r.Errorf("survey %+v, %v", n, err)
	}
	n, err = r.engine.Survey(r.Context(), nic.Task{Name: id[:12], Ref: "nowhere/none:1"})
	if err != nil || n.NameUsed || n.HasImage {
		r.Errorf("survey %+v, %v", n, err)
	}
	if _, err := r.engine.Survey(r.Context(), nic.Task{Volumes: []string{"../containers/" + id}}); err == nil {
		r.Error("a volume's name may be a path")
	}
}

// What Docker says may quote what it was told.
func noSecret(p *pair) {
	id := p.a.docker("create", "--network=none", "--env=SECRET="+hush, "--log-opt=max-size=1m", lab.ImageName, "sleep", "1")
	var c map[string]map[string]any
	config := p.read(nic.Task{What: nic.StreamConfig, Container: id})
	if !strings.Contains(string(config), hush) {
		p.Fatal("the configuration is without its environment")
	}
	for name, change := range map[string]func(){
		"environment": func() { c["config"]["Env"] = []string{"=" + hush} },
		"log option": func() {
			c["host"]["LogConfig"] = map[string]any{"Type": "json-file", "Config": map[string]string{hush: hush}}
		},
		"no json": func() { c["config"]["Env"] = hush },
	} {
		var schema map[string]any
		p.must(json.Unmarshal(config, &schema))
		c = map[string]map[string]any{"config": schema["config"].(map[string]any), "host": schema["host"].(map[string]any)}
		change()
		schema["config"], schema["host"] = c["config"], c["host"]
		data, err := json.Marshal(schema)
		p.must(err)
		_, err = p.b.engine.Create(p.Context(), nic.Task{Move: p.move, Name: "secret"}, data)
		if err == nil || strings.Contains(fmt.Sprintf("%+v %#v", err, err), hush) {
			p.Errorf("%s: %v", name, err)
		}
	}
	p.a.docker("network", "create", "--internal", "passing")
	id = p.a.docker("create", "--network=passing", lab.ImageName)
	p.a.docker("network", "rm", "passing")
	if err := p.a.engine.Start(p.Context(), nic.Task{Container: id}); err == nil || errors.Is(err, ErrNotFound) {
		p.Errorf("started without its network: %v, want no word of a container that is gone", err)
	}
	id = p.a.docker("create", "--network=none", "--entrypoint=/nowhere", "--env=SECRET="+hush, lab.ImageName, hush)
	if err := p.a.engine.Start(p.Context(), nic.Task{Container: id}); err == nil || strings.Contains(err.Error(), hush) || !strings.Contains(err.Error(), "/nowhere") {
		p.Errorf("got %v, want the name of the program", err)
	}
}
