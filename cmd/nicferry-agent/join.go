//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/identity"
	"github.com/nicferry/nicferry/internal/mtls"
)

// joinTime bounds a join with all its tries.
const joinTime = time.Minute

// maxTokenText bounds what is read for a token, in bytes.
const maxTokenText = 16 << 10

func joinCommand() *cobra.Command {
	var j join
	cmd := &cobra.Command{
		Use:   "join [ADDRESS[,ADDRESS…]] TOKEN",
		Short: "Join this machine to its controller",
		Long: `join makes a key for this machine, shows the token to the controller and keeps
the certificate that it gets, which the agent then renews by itself. The
controller is held against the fingerprint in the token before anything is sent.

ADDRESS is the controller's, such as 10.0.0.1:7460; it may be left out where the
token has it, by "nicferry token create --address". TOKEN is what "nicferry token
create --node NAME" prints; or the path of a file that holds it; or - for standard
input, so that the list of processes does not show it. A token is good once, and
for a short time.

Exit codes: 0 joined, 1 failed, 2 wrong use or no whole token, 4 refused by the
controller, or not the controller that made the token, 5 timed out.`,
		Example: `  nicferry-agent join 10.0.0.1:7460 token.txt
  ssh controller nicferry token create --node vm1 | nicferry-agent join controller:7460 -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return daemon.UsageError{Err: fmt.Errorf("want the controller's address and a token, got %d arguments; see nicferry-agent join --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return j.run(cmd.Context(), args, cmd.InOrStdin(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&j.force, "force", false, "join anew where this machine has joined already")
	cmd.Flags().StringVar(&j.dir, "identity-dir", "", "the directory of key and certificate (default: the config's, "+conf.DefaultIdentityDir+")")
	cmd.Flags().StringVar(&j.config, "config", conf.AgentPath, "the agent's config file, if there is one")
	return cmd
}

// join is one run of the command.
type join struct {
	force       bool
	dir, config string
}

func (j *join) run(ctx context.Context, args []string, stdin io.Reader, progress io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	c, err := j.readConfig()
	if err != nil {
		return daemon.UsageError{Err: err}
	}
	opts := identity.JoinOptions{
		Dir: j.dir, Force: j.force,
		Told: func(step string) { fmt.Fprintln(progress, step) },
	}
	if len(args) == 2 {
		if opts.Addresses, err = identity.ParseAddresses(args[0]); err != nil {
			return daemon.UsageError{Err: err}
		}
	}
	if opts.Token, err = readToken(args[len(args)-1], stdin); err != nil {
		return daemon.UsageError{Err: err}
	}
	i, err := identity.Join(ctx, opts)
	if err != nil {
		return coded(ctx, err)
	}
	expires, err := i.Expires()
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "joined as node %s; the certificate in %s is good until %s, and nicferry-agent renews it by itself\n",
		i.Node, j.dir, expires.UTC().Format(time.RFC3339))
	if c != nil && overruled(c) {
		fmt.Fprintf(progress, "%s names node, controllers or tls of its own, which go before: take them out of it\n", j.config)
	}
	fmt.Fprintln(progress, j.next())
	return nil
}

// next is what is left to do after a join.
func (j *join) next() string {
	if _, err := os.Stat(j.config); errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("now write %s, for which the line \"version: 1\" is enough, and start nicferry-agent", j.config)
	}
	return "now start nicferry-agent, or start it again if it runs"
}

// readConfig reads the config for where the identity is to be. There need be
// none yet.
func (j *join) readConfig() (*conf.Agent, error) {
	c, err := conf.LoadAgent(j.config)
	switch {
	case err == nil && j.dir == "":
		j.dir = c.IdentityDir
	case errors.Is(err, fs.ErrNotExist) && j.dir == "":
		j.dir = conf.DefaultIdentityDir
	case err != nil && j.dir == "":
		return nil, fmt.Errorf("config not accepted:\n%w", err)
	}
	return c, nil
}

// overruled says whether the config keeps the identity from being used.
func overruled(c *conf.Agent) bool {
	i, err := identity.Complete(c)
	return i == nil || err != nil
}

// readToken reads the token where the argument says.
func readToken(arg string, stdin io.Reader) (api.Secret, error) {
	from := stdin
	if arg != "-" {
		if api.LooksLikeToken(arg) {
			return api.Secret(arg), nil
		}
		f, err := os.Open(arg)
		if err != nil {
			if path, ok := errors.AsType[*fs.PathError](err); ok {
				err = path.Err // without the name, which may be most of a token
			}
			return "", fmt.Errorf("the last argument is no token and no file that can be read (%w); want what nicferry token create prints, the path of a file that holds it, or -", err)
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxTokenText))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	if strings.TrimSpace(string(text)) == "" {
		return "", errors.New("read token: there is nothing to read")
	}
	return api.Secret(strings.TrimSpace(string(text))), nil
}

// coded gives an error of a join its exit code.
func coded(ctx context.Context, err error) error {
	_, token := errors.AsType[identity.TokenError](err)
	_, pin := errors.AsType[*mtls.PinError](err)
	switch {
	case token, api.IsInvalid(err), errors.Is(err, identity.ErrJoined):
		return daemon.UsageError{Err: err}
	case pin, api.IsRefused(err):
		return daemon.CodedError{Code: daemon.ExitRefused, Err: err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return daemon.CodedError{Code: daemon.ExitTimedOut, Err: err}
	}
	return err
}
