package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// A dockerImage is the image among docker run's arguments, and how it is to be fetched.
type dockerImage struct {
	name     string
	pull     string   // what docker run's --pull says
	platform *string  // what its --platform says, if it is given
	with     []string // docker pull's flags
}

// image finds the image, which is behind docker run's flags. It cannot be told behind a
// flag that is not known here: what comes next may be its value.
func (d dockerRun) image() (found dockerImage, told bool) {
	given, rest := map[string]string{}, d.rest
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		arg := rest[0]
		rest = rest[1:]
		if arg == "--" {
			break
		}
		flags, ok := dockerFlags(arg)
		if !ok {
			return dockerImage{}, false
		}
		for _, f := range flags {
			if f.waits && len(rest) == 0 {
				return dockerImage{}, false
			}
			if f.waits {
				f.value, rest = rest[0], rest[1:]
			}
			given[f.name] = f.value
		}
	}
	if len(rest) == 0 || rest[0] == "" || rest[0][0] == '-' {
		return dockerImage{}, false
	}
	found = dockerImage{name: rest[0], pull: given["pull"]}
	if quiet := cmp.Or(given["quiet"], given["q"]); quiet != "" {
		found.with = append(found.with, "--quiet="+quiet)
	}
	if platform, is := given["platform"]; is {
		found.platform = &platform
	}
	for _, flag := range []string{"platform", "disable-content-trust"} {
		if value, is := given[flag]; is {
			found.with = append(found.with, "--"+flag+"="+value)
		}
	}
	return found, true
}

// A dockerFlag is a flag as it was given, of one letter or a word.
type dockerFlag struct {
	name, value string
	waits       bool // its value is the next argument
}

// dockerFlags reads the flags of one argument, such as --rm, --name=web, -it or -v/a:/b. It
// is not ok with what docker has by another name, or refuses.
func dockerFlags(arg string) (flags []dockerFlag, ok bool) {
	if word, long := strings.CutPrefix(arg, "--"); long {
		name, value, joined := strings.Cut(word, "=")
		switch {
		case name == "" || name[0] == '-':
			return nil, false
		case joined:
			return []dockerFlag{{name: name, value: value}}, true
		case dockerSwitch(name):
			return []dockerFlag{{name: name, value: "true"}}, true
		}
		return []dockerFlag{{name: name, waits: true}}, dockerTakes(name)
	}
	for letters := arg[1:]; letters != ""; letters = letters[1:] {
		name, after := letters[:1], letters[1:]
		takes := dockerTakes(name)
		switch {
		case !takes && !dockerSwitch(name):
			return nil, false
		case len(after) > 1 && after[0] == '=':
			return append(flags, dockerFlag{name: name, value: after[1:]}), true
		case takes:
			return append(flags, dockerFlag{name: name, value: after, waits: after == ""}), true
		}
		flags = append(flags, dockerFlag{name: name, value: "true"})
	}
	return flags, len(flags) > 0
}

// dockerSwitch says whether it is a flag of docker run that is on or off, and takes the
// next argument for no value.
func dockerSwitch(name string) bool {
	switch name {
	case "d", "i", "P", "q", "t", "detach", "disable-content-trust", "init", "interactive", "no-healthcheck", "oom-kill-disable", "privileged",
		"publish-all", "quiet", "read-only", "rm", "sig-proxy", "tty", "use-api-socket":
		return true
	}
	return false
}

// dockerTakes says whether it is a flag of docker run that takes a value.
func dockerTakes(name string) bool {
	switch name {
	case "a", "c", "e", "h", "l", "m", "p", "u", "v", "w",
		"add-host", "annotation", "attach", "blkio-weight", "blkio-weight-device", "cap-add", "cap-drop", "cgroup-parent", "cgroupns", "cidfile",
		"cpu-count", "cpu-percent", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus", "cpuset-cpus", "cpuset-mems",
		"detach-keys", "device", "device-cgroup-rule", "device-read-bps", "device-read-iops", "device-write-bps", "device-write-iops",
		"dns", "dns-opt", "dns-option", "dns-search", "domainname", "entrypoint", "env", "env-file", "expose", "gpus", "group-add",
		"health-cmd", "health-interval", "health-retries", "health-start-interval", "health-start-period", "health-timeout", "hostname",
		"io-maxbandwidth", "io-maxiops", "ip", "ip6", "ipc", "isolation", "kernel-memory", "label", "label-file", "link", "link-local-ip",
		"log-driver", "log-opt", "mac-address", "memory", "memory-reservation", "memory-swap", "memory-swappiness", "mount", "name",
		"net", "net-alias", "network", "network-alias", "oom-score-adj", "pid", "pids-limit", "platform", "publish", "pull", "restart", "runtime",
		"security-opt", "shm-size", "stop-signal", "stop-timeout", "storage-opt", "sysctl", "tmpfs", "ulimit", "user", "userns", "uts",
		"volume", "volume-driver", "volumes-from", "workdir":
		return true
	}
	return false
}

// fetch has the image here before a NIC is reserved, as docker run itself would fetch it: a
// slow one would outlast the reservation. An image that cannot be told is left to docker run.
func (r *runCommand) fetch(ctx context.Context) error {
	image, told := r.container.image()
	if !told {
		return nil
	}
	switch image.pull {
	case "", "missing":
		if here, err := r.hasImage(ctx, image); here || err != nil {
			return err
		}
	case "always":
	default:
		return nil
	}
	args := append([]string{"pull"}, image.with...)
	pull := exec.CommandContext(ctx, r.docker, append(args, image.name)...)
	pull.Cancel = func() error { return pull.Process.Signal(syscall.SIGTERM) }
	pull.Stdout, pull.Stderr = r.err, r.err // stdout is the container's
	err := pull.Run()
	_, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("wait for docker to pull %s: %w", oneLine(image.name), ctx.Err())
	case !ended:
		return fmt.Errorf("run %s: %w", r.docker, err)
	}
	return &dockerError{fmt.Sprintf("docker pull of %s failed, and no NIC was reserved", oneLine(image.name)), dockerFailed}
}

// hasImage asks whether docker has the image, for the platform that is asked for: docker run
// pulls one that is here for another. A docker that fails to say is not taken to.
func (r *runCommand) hasImage(ctx context.Context, image dockerImage) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	platform, format := r.getenv("DOCKER_DEFAULT_PLATFORM"), "{{.Id}}"
	if image.platform != nil {
		platform = *image.platform
	}
	if platform != "" {
		format = "{{.Os}}/{{.Architecture}}"
	}
	has, err := exec.CommandContext(ctx, r.docker, "image", "inspect", "--format", format, image.name).Output()
	_, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return platform == "" || isPlatform(strings.TrimSpace(string(has)), platform), nil
	case ctx.Err() != nil:
		return false, fmt.Errorf("ask docker for image %s: %w", oneLine(image.name), ctx.Err())
	case !ended:
		return false, fmt.Errorf("run %s: %w", r.docker, err)
	}
	return false, nil
}

// isPlatform says whether an image of an operating system and an architecture, such as
// linux/amd64, is what was asked for. Docker takes one of the two alone, and a variant, which
// images seldom tell; and has some architectures by other names.
func isPlatform(has, asked string) bool {
	system, architecture, _ := strings.Cut(has, "/")
	words := strings.Split(strings.ToLower(asked), "/")
	for i, word := range words {
		switch word {
		case "x86_64", "x86-64":
			words[i] = "amd64"
		case "aarch64":
			words[i] = "arm64"
		}
	}
	if len(words) == 1 {
		return words[0] == system || words[0] == architecture
	}
	return words[0] == system && words[1] == architecture
}
