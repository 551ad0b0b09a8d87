//go:build libvirt

package virt

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"libvirt.org/go/libvirt"
)

// node is a world of libvirt's test driver, one of its own for each path.
const node = `<node>
<domain type='test'><name>vm1</name><uuid>004b96e1-2d78-c30f-5aa5-f03c87d21e69</uuid>
<memory>65536</memory><os><type>hvm</type></os></domain>
<domain type='test'><name>vm2</name><memory>65536</memory><os><type>hvm</type></os></domain>
</node>`

func open(t *testing.T, uri string) *Conn {
	t.Helper()
	c, err := Open(t.Context(), Options{URI: uri, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, open := <-c.Events(); open {
			for range c.Events() { // to its end
			}
		}
	})
	return c
}

func openDriver(t *testing.T) *Conn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.xml")
	if err := os.WriteFile(path, []byte(node), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, "test://"+path)
}

func TestDomainsAndTheirStates(t *testing.T) {
	t.Parallel()
	c, ctx := openDriver(t), t.Context()
	all, err := c.Domains(ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("domains: %v, %v", all, err)
	}
	byName, err := c.Domain(ctx, "vm1")
	if err != nil {
		t.Fatal(err)
	}
	byUUID, err := c.Domain(ctx, byName.UUID)
	if err != nil || byUUID.Name != "vm1" || byName.State != Running {
		t.Errorf("by UUID %+v, by name %+v, %v", byUUID, byName, err)
	}
	for _, step := range []struct {
		do    func(context.Context, string) error
		state State
	}{{c.Suspend, Paused}, {c.Resume, Running}, {c.Resume, Running}, {c.Destroy, Off}, {c.Destroy, Off}, {c.Start, Running}, {c.Start, Running}} {
		if err := step.do(ctx, "vm1"); err != nil {
			t.Fatal(err)
		}
		if d, err := c.Domain(ctx, "vm1"); err != nil || d.State != step.state {
			t.Errorf("state %s, %v; want %s", d.State, err, step.state)
		}
	}
}

// What is saved runs on when it is started, unlike what was turned off.
func TestASavedDomainIsAsleep(t *testing.T) {
	t.Parallel()
	c, ctx := openDriver(t), t.Context()
	if err := c.Destroy(ctx, "vm2"); err != nil {
		t.Fatal(err)
	}
	err := c.use(ctx, reader, func(conn *libvirt.Connect) error {
		return with(conn, "vm1", func(dom *libvirt.Domain) error { return dom.ManagedSave(0) })
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, asleep := range map[string]bool{"vm1": true, "vm2": false} {
		if d, err := c.Domain(ctx, name); err != nil || d.State != Off || d.Asleep != asleep {
			t.Errorf("%s is %s, asleep %t, %v; want off, asleep %t", name, d.State, d.Asleep, err, asleep)
		}
	}
	if err := c.Start(ctx, "vm1"); err != nil {
		t.Fatal(err)
	}
	if d, err := c.Domain(ctx, "vm1"); err != nil || d.State != Running || d.Asleep {
		t.Errorf("woken: %+v, %v", d, err)
	}
}

func TestNoSuchDomain(t *testing.T) {
	t.Parallel()
	c, ctx := openDriver(t), t.Context()
	for _, id := range []string{"nobody", "", "11111111-2222-3333-4444-555555555555", "../../etc", "004b96e12d78c30f5aa5f03c87d21e69"} {
		_, err := c.Domain(ctx, id)
		want(t, err, ErrNoDomain)
		want(t, c.Plug(ctx, id, card(1)), ErrNoDomain)
		want(t, c.Unplug(ctx, id, card(1)), ErrNoDomain)
		want(t, c.Start(ctx, id), ErrNoDomain)
	}
}

func TestDefine(t *testing.T) {
	t.Parallel()
	c, ctx := openDriver(t), t.Context()
	d, err := c.Define(ctx, `<domain type='test'><name>vm3</name><memory>65536</memory><os><type>hvm</type></os></domain>`)
	if err != nil || d.State != Off || d.UUID == "" || d.Transient {
		t.Fatalf("defined %+v, %v", d, err)
	}
	if err := c.Undefine(ctx, d.UUID); err != nil {
		t.Fatal(err)
	}
	want(t, c.Undefine(ctx, d.UUID), ErrNoDomain)
	_, err = c.Define(ctx, "<domain")
	want(t, err, ErrInvalid)
}

func TestLifecycleEvents(t *testing.T) {
	t.Parallel()
	c, ctx := openDriver(t), t.Context()
	d, err := c.Domain(ctx, "vm1")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Destroy(ctx, "vm1"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, c); e.Kind != DomainChanged || e.UUID != d.UUID {
		t.Errorf("event %+v; want that vm1 changed", e)
	}
}

// next is the next event.
func next(t *testing.T, c *Conn) Event {
	t.Helper()
	select {
	case e := <-c.Events():
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event within a minute")
		return Event{}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for uri, kind := range map[string]error{
		"":                                     ErrInvalid,
		"qemu+unix:///system?socket=/nonesuch": ErrUnreachable,
		"nonesuch:///":                         ErrUnreachable,
	} {
		c, err := Open(t.Context(), Options{URI: uri})
		want(t, err, kind)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := openDriver(t).Domains(ended)
	want(t, err, context.Canceled)
}

func TestUseAfterClose(t *testing.T) {
	t.Parallel()
	c := openDriver(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := c.Domains(t.Context())
	want(t, err, ErrUnreachable)
}
