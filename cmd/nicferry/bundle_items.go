package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/bundle"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/doctor"
	"github.com/nicferry/nicferry/internal/version"
)

// ours is what the doctor and the controller say.
func (b *bundleCommand) ours() []bundle.Item {
	all := []bundle.Item{
		{Name: "version.json", About: "the program that collected this", Collect: bundle.Value(func(context.Context) (version.Info, error) { return version.Get(), nil })},
		{Name: "doctor.json", About: "nicferry doctor", Deadline: time.Minute, Collect: bundle.Value(b.findings)},
		{Name: "controller/version.json", About: "the controller's version", Collect: bundle.Value(asked(b, (*client.Client).Version))},
		{Name: "controller/status.json", About: "nicferry status", Collect: bundle.Value(asked(b, (*client.Client).Status))},
		{
			Name: "controller/events.json", About: "what has happened lately", Limit: 8 << 20,
			Collect: bundle.Value(asked(b, func(c *client.Client, ctx context.Context) (api.Events, error) { return c.Events(ctx, "", 0) })),
		},
	}
	for _, k := range kinds() {
		list := asked(b, func(c *client.Client, ctx context.Context) ([]thing, error) { return k.list(ctx, c) })
		all = append(
			all,
			bundle.Item{Name: "controller/" + k.name + ".json", About: "nicferry get " + k.name, Limit: 8 << 20, Collect: objects(list)},
			bundle.Item{Name: "controller/" + k.name + ".txt", About: "nicferry describe " + k.name, Limit: 8 << 20, Collect: sheets(list, b.now)},
		)
	}
	return all
}

func (b *bundleCommand) findings(ctx context.Context) ([]doctor.Finding, error) {
	d := &doctorCommand{app: b.app, config: conf.AgentPath, controller: conf.ControllerPath}
	m, done, err := d.machine()
	if err != nil {
		return nil, err
	}
	defer done()
	m.Root = b.root
	return doctor.Examine(ctx, m), nil
}

// asked is a question to the controller. One that did not answer is not asked
// again.
func asked[T any](b *bundleCommand, ask func(*client.Client, context.Context) (T, error)) func(context.Context) (T, error) {
	return func(ctx context.Context) (out T, err error) {
		if away := b.away.Load(); away != nil {
			return out, *away
		}
		err = b.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
			out, err = ask(c, ctx)
			return err
		})
		if errors.Is(err, client.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
			b.away.Store(&err)
		}
		return out, err
	}
}

func objects(list func(context.Context) ([]thing, error)) bundle.Source {
	return bundle.Value(func(ctx context.Context) ([]any, error) {
		found, err := list(ctx)
		all := make([]any, len(found))
		for i, t := range found {
			all[i] = t.object()
		}
		return all, err
	})
}

func sheets(list func(context.Context) ([]thing, error), now func() time.Time) bundle.Source {
	return func(ctx context.Context, w io.Writer) error {
		found, err := list(ctx)
		for _, t := range found {
			s := &sheet{now: now()}
			t.describe(s)
			err = errors.Join(err, s.flush(w))
			fmt.Fprintln(w)
		}
		return err
	}
}

// daemons is what the daemons show, read and say.
func (b *bundleCommand) daemons(agentMetrics, controllerMetrics string) []bundle.Item {
	metrics := func(address string) bundle.Source {
		if address == "" {
			return func(context.Context, io.Writer) error { return errors.New("switched off in the config") }
		}
		return bundle.Get("", "http://"+address+"/metrics")
	}
	journal := func(unit string) bundle.Source {
		since := fmt.Sprintf("--since=@%d", b.now().Add(-b.since).Unix())
		return bundle.Command(b.program("journalctl"), "--no-pager", "--quiet", "--output=short-iso", "--lines=50000", since, "--unit="+unit)
	}
	return []bundle.Item{
		{Name: "metrics/nicferryd.txt", About: "the controller's metrics", Limit: 4 << 20, Deadline: 5 * time.Second, Collect: metrics(controllerMetrics)},
		{Name: "metrics/agent.txt", About: "the agent's metrics", Limit: 4 << 20, Deadline: 5 * time.Second, Collect: metrics(agentMetrics)},
		{Name: "config/nicferryd.yaml", About: "the controller's config", Collect: bundle.File(b.path(conf.ControllerPath))},
		{Name: "config/agent.yaml", About: "the agent's config", Collect: bundle.File(b.path(conf.AgentPath))},
		{Name: "journal/nicferryd.log", About: "the controller's log", Limit: 4 << 20, Tail: true, Deadline: 20 * time.Second, Collect: journal("nicferryd.service")},
		{Name: "journal/nicferry-agent.log", About: "the agent's log", Limit: 4 << 20, Tail: true, Deadline: 20 * time.Second, Collect: journal("nicferry-agent.service")},
		{Name: "files.txt", About: "who may read and write the files of nicferry", Collect: b.modes},
	}
}

// machine is the kernel's side of it.
func (b *bundleCommand) machine() []bundle.Item {
	ip := func(args ...string) bundle.Source {
		return bundle.Command(b.program("ip"), append([]string{"-details", "-json"}, args...)...)
	}
	return []bundle.Item{
		{Name: "net/link.json", About: "ip -d link", Limit: 4 << 20, Collect: ip("link")},
		{Name: "net/addr.json", About: "ip -d addr", Limit: 4 << 20, Collect: ip("addr")},
		{Name: "net/route.json", About: "ip -d route, all tables", Limit: 4 << 20, Collect: ip("route", "show", "table", "all")},
		{Name: "net/route6.json", About: "ip -d -6 route, all tables", Limit: 4 << 20, Collect: ip("-6", "route", "show", "table", "all")},
		{Name: "net/rule.json", About: "ip -d rule", Collect: ip("rule")},
		{Name: "net/rule6.json", About: "ip -d -6 rule", Collect: ip("-6", "rule")},
		{Name: "pci.txt", About: "PCI devices: address, class, vendor:device, driver, links", Collect: b.pci},
		{Name: "kernel/cmdline.txt", About: "the kernel's command line", Collect: bundle.File(b.path("/proc/cmdline"))},
		{Name: "kernel/release.txt", About: "the kernel's release", Collect: bundle.File(b.path("/proc/sys/kernel/osrelease"))},
		{Name: "kernel/dmesg.txt", About: "the kernel's last messages", Limit: 512 << 10, Tail: true, Collect: bundle.Command(b.program("dmesg"), "--time-format=iso")},
		{Name: "os-release.txt", About: "the distribution", Collect: bundle.File(b.path("/etc/os-release"))},
	}
}

// engine is what Docker says, as far as it is listed here: never an
// environment, a command or a label of others.
func (b *bundleCommand) engine(socket string) []bundle.Item {
	type engineVersion struct{ Version, ApiVersion, MinAPIVersion, KernelVersion, Os, Arch string }
	type info struct {
		ServerVersion, Driver, CgroupDriver, CgroupVersion, OperatingSystem, KernelVersion, DockerRootDir, LoggingDriver, DefaultRuntime string
		Containers, ContainersRunning                                                                                                    int
		LiveRestoreEnabled                                                                                                               bool
		SecurityOptions, Warnings                                                                                                        []string
	}
	type container struct {
		ID            string `json:"Id"`
		Names         []string
		State, Status string
		Created       int64
		Labels        map[string]string
	}
	return []bundle.Item{
		{Name: "docker/version.json", About: "docker version", Collect: picked[engineVersion](socket, "/version", nil)},
		{Name: "docker/info.json", About: "some of docker info", Collect: picked[info](socket, "/info", nil)},
		{
			Name: "docker/containers.json", About: "containers, with their labels for nicferry alone", Limit: 8 << 20,
			Collect: picked(socket, "/containers/json?all=1", func(all *[]container) {
				for _, c := range *all {
					for label := range c.Labels {
						if !strings.HasPrefix(label, "nicferry.") {
							delete(c.Labels, label)
						}
					}
				}
			}),
		},
	}
}

// picked is what T has of an answer of Docker's, changed by f.
func picked[T any](socket, path string, f func(*T)) bundle.Source {
	return bundle.Value(func(ctx context.Context) (v T, err error) {
		text, err := copyOf(ctx, bundle.Get(socket, "http://docker"+path))
		if err == nil {
			err = json.Unmarshal(text, &v)
		}
		if err == nil && f != nil {
			f(&v)
		}
		return v, err
	})
}

// modes lists files with their rights.
func (b *bundleCommand) modes(ctx context.Context, w io.Writer) error {
	const most = 2000
	seen := 0
	var errs []error
	for _, dir := range []string{"/etc/nicferry", "/var/lib/nicferry", "/run/nicferry", "/etc/udev/rules.d", "/etc/systemd/network"} {
		err := filepath.WalkDir(b.path(dir), func(path string, d fs.DirEntry, err error) error {
			if seen++; seen > most || ctx.Err() != nil {
				return fs.SkipAll
			}
			if err != nil {
				fmt.Fprintf(w, "%s\n", clean(err.Error()))
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return nil // gone meanwhile
			}
			uid, gid := uint32(0), uint32(0)
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				uid, gid = stat.Uid, stat.Gid
			}
			_, err = fmt.Fprintf(w, "%s %5d:%-5d %10d %s %s\n", info.Mode(), uid, gid, info.Size(), info.ModTime().UTC().Format(time.RFC3339), clean(path))
			return err
		})
		errs = append(errs, err)
	}
	if seen > most {
		errs = append(errs, fmt.Errorf("more than %d files: the others are left out", most))
	}
	return errors.Join(errs...)
}

// pci lists the PCI devices as the kernel knows them.
func (b *bundleCommand) pci(_ context.Context, w io.Writer) error {
	dir := b.path("/sys/bus/pci/devices")
	devices, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	word := func(device, name string) string {
		text, err := os.ReadFile(filepath.Join(dir, device, name))
		if err != nil {
			return "-"
		}
		return string(bytes.TrimSpace(text[:min(len(text), 64)]))
	}
	for _, d := range devices[:min(len(devices), 4096)] {
		driver, _ := os.Readlink(filepath.Join(dir, d.Name(), "driver"))
		var links []string
		nets, _ := os.ReadDir(filepath.Join(dir, d.Name(), "net"))
		for _, n := range nets {
			links = append(links, n.Name())
		}
		_, err := fmt.Fprintln(w, clean(fmt.Sprintf("%s %s %s:%s %s %s", d.Name(), word(d.Name(), "class"), word(d.Name(), "vendor"), word(d.Name(), "device"),
			orDash(filepath.Base(driver)), strings.Join(links, ","))))
		if err != nil {
			return err
		}
	}
	return nil
}
