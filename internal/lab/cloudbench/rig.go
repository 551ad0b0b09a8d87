//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab"
)

// The networks of the controller.
const (
	cold = "cold" // each container's NIC is made for it
	warm = "warm" // what a container gives back stays on the node, for the next one
)

// world says what a rig is made of.
type world struct {
	cloud cloudsim.Options
	nodes int
	kind  string // the instances' type
	calls int    // how many times EC2's limits the controller is told that it has
}

// A rig is a cloud in this process, a nicferryd beside it, and nodes that do at once
// what they are told.
type rig struct {
	site  *site.Site
	nodes []*node

	dir     string
	daemon  *exec.Cmd
	ended   chan struct{} // closed once the daemon has, with daemonErr
	died    error
	running *errgroup.Group
	stop    context.CancelFunc
}

const config = `version: 1
socket: %[1]s/s
socketGroup: root
store: %[1]s/db
metrics: {address: ""}
sweep: {off: true}
providers:
  - {name: cloud, kind: aws, aws: {region: %[2]s, endpoint: "%[3]s", calls: %[4]d}}
networks:
  - name: cold
    provider: cloud
    addressing: provider
    aws: {subnets: [%[5]s], groups: [%[6]s]}
  - name: warm
    provider: cloud
    addressing: provider
    pool: {max: 1, idle: 1h}
    cooldown: 1s
    aws: {subnets: [%[5]s], groups: [%[6]s]}
`

// start makes a rig. It is the caller's to close.
func start(ctx context.Context, bin, out string, w world) (_ *rig, err error) {
	r := &rig{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.dir, err = os.MkdirTemp("", "nf-cloud"); err != nil { // short: a socket's path is
		return nil, err
	}
	if r.site, err = site.Start(ctx, site.Options{Instances: w.nodes, Type: w.kind, Cloud: w.cloud}); err != nil {
		return nil, err
	}
	if err := r.spawn(ctx, bin, out, w); err != nil {
		return nil, err
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.running, ctx = errgroup.WithContext(ctx)
	for _, i := range r.site.About.Instances {
		n, err := join(ctx, i.ID, "unix://"+r.dir+"/s")
		if err != nil {
			return nil, err
		}
		r.nodes = append(r.nodes, n)
		r.running.Go(func() error { return n.follow(ctx) })
	}
	return r, nil
}

// spawn starts the controller, with its log in out, and waits until it serves.
func (r *rig) spawn(ctx context.Context, bin, out string, w world) error {
	about, path := r.site.About, filepath.Join(r.dir, "nicferryd.yaml")
	var subnets []string
	for _, s := range about.Subnets {
		subnets = append(subnets, s.ID)
	}
	text := fmt.Sprintf(config, r.dir, about.Region, about.Endpoint, max(1, w.calls), strings.Join(subnets, ", "), about.Group)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(out, "nicferryd.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	r.daemon = exec.Command(filepath.Join(bin, "nicferryd"), "--config", path)
	r.daemon.Stdout, r.daemon.Stderr = log, log
	r.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Nothing of this machine's own AWS.
	r.daemon.Env = append(os.Environ(),
		"AWS_ACCESS_KEY_ID="+about.AccessKey, "AWS_SECRET_ACCESS_KEY="+about.SecretKey, "AWS_SESSION_TOKEN=", "AWS_PROFILE=",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "AWS_ENDPOINT_URL=", "AWS_ENDPOINT_URL_EC2=")
	if err := r.daemon.Start(); err != nil {
		r.daemon = nil
		return fmt.Errorf("start nicferryd: %w", err)
	}
	r.ended = make(chan struct{})
	go func() { r.died = r.daemon.Wait(); close(r.ended) }()
	return lab.Until(ctx, "nicferryd to serve", time.Minute, 20*time.Millisecond, func(context.Context) error {
		select {
		case <-r.ended:
			return fmt.Errorf("it has ended: %w; see %s", r.died, log.Name())
		default:
		}
		_, err := os.Stat(r.dir + "/s")
		return err
	})
}

// close ends all of it and removes what it made. It may be called on a rig that only
// half started.
func (r *rig) close() error {
	var errs []error
	if r.stop != nil {
		r.stop()
		if err := r.running.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	}
	for _, n := range r.nodes {
		n.api.Close()
	}
	if r.daemon != nil {
		_ = r.daemon.Process.Signal(syscall.SIGTERM) // or it has ended
		select {
		case <-r.ended:
		case <-time.After(20 * time.Second):
			_ = r.daemon.Process.Kill()
			<-r.ended
		}
		if r.died != nil {
			errs = append(errs, fmt.Errorf("nicferryd: %w", r.died))
		}
	}
	if r.site != nil {
		errs = append(errs, r.site.Close())
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// cpu is the processor time that the controller has used.
func (r *rig) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.daemon.Process.Pid))
	if err != nil {
		return 0, err
	}
	return cpuOf(string(stat))
}
