"""What a person edits: `load` config/execution.yaml into `Settings`, and what others take from them.

Here are only the names that the rest of the package uses. Fields live in `config.settings`, reading
in `config.file`, the limits' table in `core.limits`, the key pair in `config.credentials`.
"""

from trading_assets.config.credentials import embedded_keys_file, keys, refuse_blanks
from trading_assets.config.embedded_keys import PUBLIC_KEYS, KeyPair, key_pair, read_key_pair
from trading_assets.config.file import CONFIG_VARIABLE, data_dir_of, layers, load, path_in_use
from trading_assets.config.last_good import LastGood, home_of, keep, kept
from trading_assets.config.limit_values import limits
from trading_assets.config.settings import ConfigRow, EmbeddedSettings, ModelSettings, Settings, config_rows

__all__ = [
    "CONFIG_VARIABLE",
    "PUBLIC_KEYS",
    "ConfigRow",
    "EmbeddedSettings",
    "KeyPair",
    "LastGood",
    "ModelSettings",
    "Settings",
    "config_rows",
    "data_dir_of",
    "embedded_keys_file",
    "home_of",
    "keep",
    "kept",
    "key_pair",
    "keys",
    "layers",
    "limits",
    "load",
    "path_in_use",
    "read_key_pair",
    "refuse_blanks",
]
