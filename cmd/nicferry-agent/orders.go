//go:build linux

package main

import (
	"log/slog"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/vmagent/containers"
	"github.com/nicferry/nicferry/vmagent/tasks"
)

// orders are carried out on the engine, if the config allows it.
func orders(c *conf.Agent, controller *client.Client, engine *containers.Engine, log *slog.Logger) *tasks.Runner {
	return tasks.New(tasks.Options{
		Node: c.Node, Controller: controller, Engine: engine, Moves: c.Moves, Superseded: api.IsConflict, Refused: refused, Log: log,
	})
}
