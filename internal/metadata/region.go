package metadata

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Region asks which region of a cloud this machine is in, for a config that names
// none. getenv is os.Getenv: it heeds what the cloud's own tools are told about the
// service. Where nothing answers it takes 5 s. The error says what to do.
func Region(ctx context.Context, cloud Dialect, getenv func(string) string, log *slog.Logger) (string, error) {
	id, err := self(ctx, cloud, getenv, log)
	if err != nil {
		return "", fmt.Errorf("no region is configured, and this machine does not know its own; set %s: %w", cloud.field, err)
	}
	return id.Region, nil
}

func self(ctx context.Context, cloud Dialect, getenv func(string) string, log *slog.Logger) (Identity, error) {
	c, err := here(cloud, getenv, log, 5*time.Second)
	if err != nil {
		return Identity{}, err
	}
	defer c.Close()
	return c.Identity(ctx)
}

// Here reads this machine's metadata. getenv is as for Region: ErrRefused if the cloud's
// own tools are told not to ask.
func Here(cloud Dialect, getenv func(string) string, log *slog.Logger) (*Client, error) {
	return here(cloud, getenv, log, defaultPatience)
}

func here(cloud Dialect, getenv func(string) string, log *slog.Logger, patience time.Duration) (*Client, error) {
	base, err := cloud.endpoint(getenv)
	if err != nil {
		return nil, err
	}
	return New(Options{Dialect: cloud, Log: log, BaseURL: base, Patience: patience})
}
