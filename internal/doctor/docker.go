package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// oldestAPI is that of Docker 19.03, as 1.oldestAPI.
const oldestAPI = 40

func checkDocker(ctx context.Context, v *visit) {
	mode, there := v.mode(v.DockerSocket)
	switch {
	case !there:
		v.fail("install and start a rootful Docker Engine, or name its socket in agent.yaml", "no Docker socket at %s", v.DockerSocket)
		return
	case mode&fs.ModeSocket == 0:
		v.fail("name the right path in agent.yaml", "%s is no socket", v.DockerSocket)
		return
	}
	var engine struct{ Version, ApiVersion, Os string } //nolint: as Docker spells it
	_, err := v.ask(ctx, way{name: "the Docker daemon", socket: v.DockerSocket}, "/version", &engine)
	minor, versionErr := minorOf(engine.ApiVersion)
	switch {
	case errors.Is(err, fs.ErrPermission):
		v.fail("run it as root, or as a member of the socket's group", "%s may not be opened by this user", v.DockerSocket)
	case errors.Is(err, errNobody):
		v.fail("systemctl start docker", "nobody answers at %s", v.DockerSocket)
	case err != nil:
		v.fail("journalctl -u docker; systemctl restart docker stops containers unless live-restore is on", "%s takes calls, and: %s", v.DockerSocket, short(err))
	case versionErr != nil:
		v.fail("name the right path in agent.yaml", "what answers at %s is no Docker daemon: API version %.40q", v.DockerSocket, engine.ApiVersion)
	case minor < oldestAPI:
		v.fail("install Docker 19.03 or newer", "Docker %.40s speaks API %.40s; nicferry needs 1.%d", engine.Version, engine.ApiVersion, oldestAPI)
	default:
		v.ok("Docker %.40s answers at %s, with API %.40s", engine.Version, v.DockerSocket, engine.ApiVersion)
		v.checkRootless(ctx)
	}
}

// checkRootless asks what a daemon of the right version says of itself.
func (v *visit) checkRootless(ctx context.Context) {
	var about struct {
		SecurityOptions []string
		OperatingSystem string
	}
	_, err := v.ask(ctx, way{name: "the Docker daemon", socket: v.DockerSocket}, "/info", &about)
	switch rootless := slices.ContainsFunc(about.SecurityOptions, func(o string) bool { return strings.Contains(o, "name=rootless") }); {
	case err != nil:
		v.warn("", "cannot look whether Docker is rootless: %s", short(err))
	case rootless:
		v.fail("run a rootful Docker Engine, or name its socket in agent.yaml", "Docker at %s is rootless: its containers' network is another's", v.DockerSocket)
	case strings.Contains(about.OperatingSystem, "Docker Desktop"):
		v.fail("run a Docker Engine on Linux itself", "Docker at %s is Docker Desktop's: its containers are in a virtual machine", v.DockerSocket)
	}
}

// minorOf reads an API version such as 1.44.
func minorOf(version string) (int, error) {
	major, minor, ok := strings.Cut(version, ".")
	n, err := strconv.Atoi(minor)
	if !ok || major != "1" || err != nil {
		return 0, fmt.Errorf("API version %.40q", version)
	}
	return n, nil
}
