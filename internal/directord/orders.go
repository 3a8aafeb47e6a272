package directord

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"lvs-agents/internal/control"
	"lvs-agents/internal/state"
)

// ordersFile returns the path of the file with the orders of operators. After a reboot, the file
// does not exist.
func (s *server) ordersFile() string {
	return filepath.Join(state.DaemonDir(s.stateDir), state.SocketName(s.id)+".orders")
}

// orders returns the stored orders. If it cannot read the file, the daemon starts without orders.
func (s *server) orders() []control.Command {
	var orders []control.Command
	text, err := state.Read(s.ordersFile())
	if err == nil {
		err = json.Unmarshal([]byte(text), &orders)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Errorf("the orders of operators in %s do not count: %v; give them again", s.ordersFile(), err)
		return nil
	}
	return orders
}

func (s *server) saveOrders(orders []control.Command) error {
	text, err := json.Marshal(orders)
	if err != nil {
		return err
	}
	return state.Write(s.ordersFile(), string(text)+"\n")
}
