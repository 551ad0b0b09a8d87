//go:build linux

package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// flat inspects a container, a word for each field, without those that are
// another's wherever a container is made.
func (r *rig) flat(id string) map[string]string {
	r.Helper()
	var all []any
	if err := json.Unmarshal([]byte(r.docker("inspect", id)), &all); err != nil {
		r.Fatal(err)
	}
	mounts, _ := all[0].(map[string]any)["Mounts"].([]any)
	slices.SortFunc(mounts, func(a, b any) int { // Docker shows them in any order
		return strings.Compare(a.(map[string]any)["Destination"].(string), b.(map[string]any)["Destination"].(string))
	})
	got := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, below := range v {
				walk(path+"."+key, below)
			}
			if len(v) == 0 {
				got[path] = "{}"
			}
		case []any:
			for n, below := range v {
				walk(fmt.Sprintf("%s[%d]", path, n), below)
			}
			if len(v) == 0 {
				got[path] = "[]"
			}
		default:
			got[path] = fmt.Sprint(v)
		}
	}
	walk("", all[0])
	maps.DeleteFunc(got, func(path, _ string) bool {
		for _, own := range []string{
			".Id", ".Created", ".State.", ".ResolvConfPath", ".HostnamePath", ".HostsPath", ".LogPath", ".GraphDriver.", ".NetworkSettings.",
			".HostConfig.RestartPolicy.", ".Config.Image", ".Config.Labels." + nic.LabelMove, ".Config.Labels." + nic.LabelClaim,
		} {
			if strings.HasPrefix(path, own) {
				return true
			}
		}
		if path == ".Config.Labels" { // there are none
			return true
		}
		// Of volumes, where Docker keeps them; the anonymous have other names.
		return strings.HasPrefix(path, ".Mounts[") && (strings.HasSuffix(path, ".Source") || strings.HasSuffix(path, ".Name"))
	})
	return got
}

// image makes one on both engines that says all that an image can.
func (p *pair) image() string {
	p.Helper()
	args := []string{"commit"}
	for _, line := range []string{
		`ENTRYPOINT ["/bin/sh"]`, `CMD ["-c","sleep 1000"]`, "ENV FROM_IMAGE=1 BOTH=image", "VOLUME /image-volume", "LABEL from=image both=image",
		"USER root", "EXPOSE 8080", "WORKDIR /root", "HEALTHCHECK --interval=5s CMD true",
	} {
		args = append(args, "--change", line)
	}
	base := p.a.docker("create", "--network=none", lab.ImageName)
	id := p.a.docker(append(args, base, "full:1")...)
	p.a.docker("rm", base)
	p.must(p.copy(nic.Task{What: nic.StreamImage, Ref: id}))
	return "full:1"
}

// everyOption is what can be asked of docker run and may move.
var everyOption = []string{
	"--env=SECRET=" + hush, "--env=EMPTY=", "--env=BOTH=user", "--label=a=b", "--label=both=user", "--label=nicferry.network=blue",
	"--hostname=web1", "--domainname=example.org", "--user=1000:1001", "--workdir=/tmp", "--cap-add=NET_ADMIN", "--cap-drop=MKNOD",
	"--ulimit=nofile=1000:2000", "--log-driver=json-file", "--log-opt=max-size=1m", "--log-opt=tag=x", "--memory=64m", "--memory-swap=96m",
	"--memory-reservation=32m", "--memory-swappiness=10", "--cpus=0.5", "--cpu-shares=512", "--cpuset-cpus=0", "--pids-limit=100",
	"--shm-size=32m", "--tmpfs=/scratch:size=1m,mode=1770", "--mount=type=tmpfs,dst=/scratch2,tmpfs-size=1048576,tmpfs-mode=1777",
	"--mount=type=volume,src=data2,dst=/data2,readonly,volume-nocopy", "--mount=type=volume,dst=/anon2", "--volume=data:/data:ro",
	"--volume=/anon", "--init", "--stop-signal=TERM", "--stop-timeout=3", "--health-cmd=test -e /", "--health-interval=1m", "--health-timeout=7s",
	"--health-retries=4", "--health-start-period=2s", "--security-opt=no-new-privileges", "--security-opt=seccomp=unconfined",
	"--sysctl=net.ipv4.ip_forward=1", "--dns=192.0.2.1", "--dns-search=example.org", "--dns-option=ndots:2", "--add-host=db:192.0.2.2",
	"--group-add=5", "--oom-score-adj=100", "--read-only", "--restart=on-failure:3", "--tty", "--interactive", "--expose=9090/udp",
	"--ipc=shareable", "--cgroupns=private", "--runtime=runc",
}

func TestCreate(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	t.Run("keeps the whole configuration", func(t *testing.T) { keepsConfiguration(p.on(t)) })
	t.Run("connects Docker networks", func(t *testing.T) { connectsNetworks(p.on(t)) })
	t.Run("refuses hostile configurations", func(t *testing.T) { refusesHostile(p.on(t)) })
}

// Field by field, B's container is A's, also when it is made of one that runs.
func keepsConfiguration(p *pair) {
	full := p.image()
	for name, args := range map[string][]string{
		"everything":       append(slices.Clone(everyOption), lab.ImageName, "sleep", "1000"),
		"of-full-image":    append(slices.Clone(everyOption), full),
		"plain":            {lab.ImageName},
		"image-as-it-is":   {full},
		"other-command":    {full, "-c", "sleep 5"},
		"no-entrypoint":    {"--entrypoint=", full, "sleep", "1000"},
		"other-entrypoint": {"--entrypoint=sleep", full, "1000"},
		"no-healthcheck":   {"--no-healthcheck", full},
		"by-id":            {strings.TrimPrefix(p.a.docker("inspect", "--format={{.Id}}", lab.ImageName), "sha256:")[:12]},
	} {
		p.move = nic.NewMoveID()
		id := p.a.docker(append([]string{"create", "--network=none", "--name=" + name}, args...)...)
		for _, started := range []bool{false, true} {
			if started && name != "everything" {
				break
			}
			if started {
				p.a.docker("start", id)
			}
			made := p.made(id, name)
			got, want := p.b.flat(made), p.a.flat(id)
			for _, path := range slices.Sorted(maps.Keys(want)) {
				if g, has := got[path]; !has || g != want[path] {
					p.Errorf("%s, started %t: %s is %q, want %q", name, started, path, g, want[path])
				}
			}
			for path := range got {
				if _, has := want[path]; !has {
					p.Errorf("%s: %s is %q, and was not there", name, path, got[path])
				}
			}
			c := p.b.get(made)
			if c.Labels[nic.LabelMove] != string(p.move) || c.Labels[nic.LabelClaim] != "clm-1,clm-2" {
				p.Errorf("%s: labels %v", name, c.Labels)
			}
			if policy := p.b.docker("inspect", "--format={{.HostConfig.RestartPolicy.Name}}", made); policy != "no" {
				p.Errorf("%s: restart policy %s", name, policy)
			}
			if started {
				p.must(p.b.engine.Start(p.Context(), nic.Task{Move: p.move}))
				p.b.docker("kill", made)
			}
			p.must(p.b.engine.Remove(p.Context(), nic.Task{Move: p.move, Volumes: []string{"data", "data2"}}))
		}
		p.a.docker("rm", "--force", "--volumes", id)
	}
	if left := p.b.docker("volume", "ls", "--quiet"); left != "" {
		p.Errorf("volumes left: %s", left)
	}
}

// A container of several Docker networks gets them all, and its aliases, to which
// Docker adds its id and its hostname.
func connectsNetworks(p *pair) {
	for _, r := range []*rig{p.a, p.b} {
		for _, name := range []string{"shop", "back"} {
			r.docker("network", "create", "--internal", name)
			p.Cleanup(func() { r.lab.Docker(context.WithoutCancel(p.Context()), "network", "rm", name) })
		}
	}
	id := p.a.docker("create", "--network=shop", "--network-alias=www", lab.ImageName)
	p.a.docker("network", "connect", "--alias=api", "back", id)
	p.a.docker("start", id)
	made := p.made(id, "web")
	p.must(p.b.engine.Start(p.Context(), nic.Task{Move: p.move}))
	got := p.b.docker("inspect", "--format={{range $n, $v := .NetworkSettings.Networks}}{{$n}} {{$v.Aliases}};{{end}}", made)
	if want := fmt.Sprintf("back [api %[1]s %[2]s];shop [www %[1]s %[2]s];", made[:12], id[:12]); got != want {
		p.Errorf("got %s, want %s", got, want)
	}
	p.a.docker("rm", "--force", id)
	p.b.docker("rm", "--force", made)
}

// asksNothingNew: by labels, and by Docker networks, a container would get at what the
// target's node may have, and the source's not.
func asksNothingNew(p *pair, config []byte) {
	p.b.docker("network", "create", "--internal", "private")
	defer p.b.docker("network", "rm", "private")
	planned := []nic.Request{{Interface: "eth0", Network: "blue", Tenant: "us"}}
	for name, c := range map[string]struct {
		labels   map[string]string
		networks string
		volume   bool
	}{
		"another NIC":        {labels: map[string]string{"nicferry.nic.eth0": "network=blue", "nicferry.nic.eth1": "network=red", "nicferry.tenant": "us"}},
		"another network":    {labels: map[string]string{"nicferry.network": "red", "nicferry.tenant": "us"}},
		"another tenant":     {labels: map[string]string{"nicferry.network": "blue", "nicferry.tenant": "them"}},
		"a Docker network":   {networks: `{"private":{}}`},
		"the default bridge": {networks: `{"bridge":{}}`},
		"a new volume":       {volume: true},
	} {
		var whole map[string]any
		p.must(json.Unmarshal(config, &whole))
		if c.networks != "" {
			whole["networks"] = json.RawMessage(c.networks)
		}
		if c.volume { // which somebody here will want to be empty
			whole["volumes"] = json.RawMessage(`[{"name":"pgdata","plain":true}]`)
			whole["host"].(map[string]any)["Binds"] = []string{"pgdata:/data"}
		}
		whole["config"].(map[string]any)["Labels"] = c.labels
		data, err := json.Marshal(whole)
		p.must(err)
		if _, err := p.b.engine.Create(p.Context(), nic.Task{Move: p.move, Name: "web", Asks: planned}, data); !errors.Is(err, ErrRefused) {
			p.Errorf("%s: got %v, want ErrRefused", name, err)
		}
	}
}

// A node that is not what it was must not become root of another by a move.
func refusesHostile(p *pair) {
	p.b.docker("volume", "create", "others")
	id := p.a.docker("create", "--network=none", lab.ImageName)
	config := p.read(nic.Task{What: nic.StreamConfig, Container: id})
	for name, change := range map[string]string{
		"privileged":       `{"Privileged":true}`,
		"bind":             `{"Binds":["/:/host"]}`,
		"mounted bind":     `{"Mounts":[{"Type":"bind","Source":"/","Target":"/host"}]}`,
		"bind as volume":   `{"Mounts":[{"Type":"volume","Target":"/host","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]}`,
		"others' volume":   `{"Binds":["others:/stolen"]}`,
		"others' mount":    `{"Mounts":[{"Type":"volume","Source":"others","Target":"/stolen"}]}`,
		"path as a volume": `{"Binds":["../../..:/stolen"]}`,
		"volumes-from":     `{"VolumesFrom":["db"]}`,
		"volume driver":    `{"VolumeDriver":"evil"}`,
		"device":           `{"Devices":[{"PathOnHost":"/dev/vda","PathInContainer":"/dev/vda","CgroupPermissions":"rwm"}]}`,
		"device rule":      `{"DeviceCgroupRules":["b 8:* rwm"]}`,
		"pid":              `{"PidMode":"host"}`,
		"ipc":              `{"IpcMode":"container:db"}`,
		"uts":              `{"UTSMode":"host"}`,
		"userns":           `{"UsernsMode":"host"}`,
		"network":          `{"NetworkMode":"host"}`,
		"others' network":  `{"NetworkMode":"container:db"}`,
		"capability":       `{"CapAdd":["cap_sys_admin"]}`,
		"all capabilities": `{"CapAdd":["ALL"]}`,
		"open /proc":       `{"MaskedPaths":[]}`,
		"port":             `{"PortBindings":{"22/tcp":[{"HostPort":"22"}]}}`,
		"cgroup":           `{"CgroupParent":"/"}`,
		"shim":             `{"Runtime":"/var/lib/docker/evil"}`,
		"runtime":          `{"Runtime":"nvidia"}`,
		"annotation":       `{"Annotations":{"org.systemd.property.DeviceAllow":"[('/dev/vda','rwm')]"}}`,
		"new capability":   `{"CapAdd":["CAP_NOBODY_KNOWS"]}`,
		"audit":            `{"CapAdd":["AUDIT_CONTROL"]}`,
		"GPUs":             `{"DeviceRequests":[{"Driver":"nvidia","Count":-1,"Capabilities":[["gpu"]]}]}`,
		"cgroups":          `{"SecurityOpt":["writable-cgroups=true"]}`,
		"log socket":       `{"LogConfig":{"Type":"fluentd","Config":{"fluentd-address":"unix:///var/run/docker.sock"}}}`,
		"log key":          `{"LogConfig":{"Type":"syslog","Config":{"syslog-address":"tcp+tls://192.0.2.1","syslog-tls-key":"/etc/nicferry/tls/vm1.key"}}}`,
		"anonymous driver": `{"Mounts":[{"Type":"volume","Target":"/stolen","VolumeOptions":{"DriverConfig":{"Name":"nfs"}}}]}`,
		"image mount":      `{"Mounts":[{"Type":"image","Source":"busybox","Target":"/x"}]}`,
		"cluster mount":    `{"Mounts":[{"Type":"cluster","Source":"group:x","Target":"/x"}]}`,
		"auto-remove":      `{"AutoRemove":true}`,
		"docker0":          `{"NetworkMode":"bridge"}`,
		"docker0 unsaid":   `{"NetworkMode":""}`,
		"strange network":  `{"NetworkMode":"private"}`,
	} {
		var c map[string]map[string]any
		var whole map[string]any
		p.must(json.Unmarshal(config, &whole))
		c = map[string]map[string]any{"host": whole["host"].(map[string]any)}
		var over map[string]any
		p.must(json.Unmarshal([]byte(change), &over))
		maps.Copy(c["host"], over)
		whole["host"] = c["host"]
		data, err := json.Marshal(whole)
		p.must(err)
		if _, err := p.b.engine.Create(p.Context(), nic.Task{Move: p.move, Name: "web"}, data); err == nil || Passing(err) {
			p.Errorf("%s: got %v, want a refusal", name, err)
		} else if name != "path as a volume" && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrTaken) {
			p.Errorf("%s: got %v, want ErrRefused or ErrTaken", name, err)
		}
	}
	asksNothingNew(p, config)
	if all, err := p.b.engine.List(p.Context()); err != nil || len(all) != 0 {
		p.Errorf("there is %+v, %v", all, err)
	}
	if _, err := p.b.engine.Create(p.Context(), nic.Task{Move: p.move, Name: "web", Image: "sha256:" + strings.Repeat("0", 64)}, config); !errors.Is(err, ErrRefused) {
		p.Errorf("of another image than planned: %v, want ErrRefused", err)
	}
	// With the plan's word a volume that is there may be used.
	var whole map[string]any
	p.must(json.Unmarshal(config, &whole))
	whole["host"].(map[string]any)["Binds"] = []string{"others:/data"}
	data, err := json.Marshal(whole)
	p.must(err)
	if _, err := p.b.engine.Create(p.Context(), nic.Task{Move: p.move, Name: "web", Volumes: []string{"others"}}, data); err != nil {
		p.Error(err)
	}
	if err := p.b.engine.Remove(p.Context(), nic.Task{Move: p.move, Volumes: []string{"others"}}); err != nil {
		p.Error(err)
	}
	if left := p.b.docker("volume", "ls", "--quiet"); left != "others" {
		p.Errorf("volumes %q, want others", left)
	}
}
