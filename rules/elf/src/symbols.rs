//! The symbols of a core that the runtime itself relies on, found by name.

use crate::core_file::{CoreError, CoreFile, SpaceId};
use crate::heap::{Heap, Value, widetag};

/// Values of the symbols in which the Lisp keeps its tables.
pub(crate) struct Symbols {
    /// The foreign symbols that code refers to.
    pub(crate) linkage_info: Value,
    /// The packages by name.
    pub(crate) package_names: Value,
    /// The foreign symbols that the program looks up itself when it starts, in a list; only the
    /// cores of `lisp_binary` say.
    pub(crate) found_at_start: Option<Value>,
}

impl Symbols {
    /// Finds them where symbols have addresses that stay.
    pub(crate) fn find(core: &CoreFile, heap: &Heap) -> Result<Self, CoreError> {
        let (mut linkage_info, mut package_names, mut found_at_start) = (None, None, None);
        let space = core.space(SpaceId::FixedObjects).ok_or(CoreError::NoImmobileCode)?;
        let contents = core.contents(space);
        for (address, object) in (space.address..).step_by(16).zip(contents.chunks_exact(16)) {
            if object[0] != widetag::SYMBOL {
                continue;
            }
            let Some(symbol) = heap.symbol_at(address) else { continue };
            match &*symbol.name {
                "*LINKAGE-INFO*" => linkage_info = Some(symbol.value),
                "*PACKAGE-NAMES*" => package_names = Some(symbol.value),
                "*NAMES-OF-C-FOUND-AT-START*" => found_at_start = Some(symbol.value),
                _ => {}
            }
        }
        let (Some(linkage_info), Some(package_names)) = (linkage_info, package_names) else {
            let what = "its tables of packages and foreign symbols are not found";
            return Err(CoreError::other_version(what));
        };
        Ok(Symbols { linkage_info, package_names, found_at_start })
    }
}
