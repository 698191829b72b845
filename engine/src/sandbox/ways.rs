//! Ways: by which means processes may be confined. Each machine allows some of them.

use super::message::Mode;

/// The ways that may be used where the machine has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// Namespaces, made by way of a user namespace. Without them only root can have namespaces.
    pub user_namespaces: bool,
    /// Namespaces that root makes.
    pub root_namespaces: bool,
    /// Rules for what a process may open.
    pub landlock: bool,
    /// With namespaces: without overlays inputs that lie beside outputs are copied.
    pub overlay: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Ways { user_namespaces: true, root_namespaces: true, landlock: true, overlay: true }
    }
}

impl Ways {
    /// Namespaces or nothing.
    pub fn namespaces() -> Ways {
        Ways { landlock: false, ..Ways::default() }
    }

    /// Landlock or nothing.
    pub fn landlock() -> Ways {
        Ways { user_namespaces: false, root_namespaces: false, ..Ways::default() }
    }

    /// What may be tried, the best first.
    pub fn modes(&self) -> impl Iterator<Item = Mode> + use<> {
        let is_root = nix::unistd::geteuid().is_root();
        [
            (self.user_namespaces, Mode::UserNamespaces),
            (self.root_namespaces && is_root, Mode::RootNamespaces),
            (self.landlock, Mode::Landlock),
        ]
        .into_iter()
        .filter_map(|(may_be, mode)| may_be.then_some(mode))
    }
}
