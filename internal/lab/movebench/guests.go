//go:build linux

package movebench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// image is the lab's with a program that answers the peer. It is the same in both
// guests, so that none is copied in a move.
const image = "nicferry-lab/bench-echo:latest"

// images makes the image in one guest and brings it to the other.
func (b *bench) images(ctx context.Context) error {
	if _, err := b.node(1).Docker(ctx, "image", "inspect", "-f", "{{.Id}}", image); err == nil {
		return nil // a lab that was left up has it
	}
	b.opts.Tell("an image with the program that answers the peer, the same in both guests")
	program, err := os.ReadFile(b.opts.Echo)
	if err != nil {
		return err
	}
	first, second := b.node(0), b.node(1)
	const path = "/tmp/bench-echo"
	if err := first.Put(ctx, path, 0o755, bytes.NewReader(program)); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"create", "--name", "bench-maker", "--network", "none", lab.ImageName},
		{"cp", path, "bench-maker:/bin/echo-server"},
		{"commit", "--change", `CMD ["/bin/echo-server"]`, "bench-maker", image},
		{"rm", "bench-maker"},
	} {
		if _, err := first.Docker(ctx, args...); err != nil {
			return err
		}
	}
	archive, err := first.Command(ctx, "docker", "save", image).Output()
	if err != nil {
		return err
	}
	load := second.Command(ctx, "docker", "load")
	load.Stdin = bytes.NewReader(archive)
	_, err = load.Output()
	return err
}

// run starts a container of the image without any network of Docker's.
func (b *bench) run(ctx context.Context, n *cluster.Node, name string, more ...string) error {
	args := append([]string{"run", "-d", "--network", "none", "--name", name}, more...)
	_, err := n.Docker(ctx, append(args, image)...)
	return err
}

// clear removes a container from both guests, wherever it is.
func (b *bench) clear(ctx context.Context, names ...string) error {
	var errs []error
	for i := range 2 {
		for _, name := range names {
			_, err := b.node(i).Docker(context.WithoutCancel(ctx), "rm", "-f", name) // no error if there is none
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// pid is that of a running container's first process, as its guest counts.
func (b *bench) pid(ctx context.Context, n *cluster.Node, name string) (string, error) {
	pid, err := n.Docker(ctx, "inspect", "-f", "{{.State.Pid}}", name)
	if err == nil && (pid == "" || pid == "0") {
		err = fmt.Errorf("%s does not run on %s", name, n.Name)
	}
	return pid, err
}
