"""What the launcher says, in English and in Simplified Chinese where that is the language of the system."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

MESSAGES: dict[str, tuple[str, str]] = {
    # Steps
    "step": ("Step {number} of {total}: {title} …", "第 {number} 步，共 {total} 步：{title} …"),
    "step_done": ("done in {elapsed}", "完成，用时 {elapsed}"),
    "step_venv": ("preparing the environment", "准备运行环境"),
    "step_torch": ("installing PyTorch for {device}", "安装 PyTorch（{device}）"),
    "step_torch_any": ("installing PyTorch", "安装 PyTorch"),
    "step_packages": ("installing the other packages", "安装其余软件包"),
    "step_check": ("checking that PyTorch loads", "检查 PyTorch 能否加载"),
    "device_any": ("this computer", "本机"),
    "device_cpu": ("processor (CPU)", "处理器（CPU）"),
    "device_cuda": ("NVIDIA GPU", "NVIDIA 显卡"),
    "device_mps": ("Apple GPU", "Apple 显卡"),
    "finished": (
        "Kiln is set up ({elapsed}, PyTorch {torch}).",
        "Kiln 已安装完成（用时 {elapsed}，PyTorch {torch}）。",
    ),
    "already": ("Kiln is set up; nothing to do.", "Kiln 已安装完成，无需任何操作。"),
    # What pip does
    "doing_start": ("working", "进行中"),
    "doing_look": ("looking up {name}", "查找 {name}"),
    "doing_download": ("downloading {name} {size}", "下载 {name} {size}"),
    "doing_amount": ("downloading {name} {done} of {all} MB", "下载 {name} {done} / {all} MB"),
    "doing_unpack": ("unpacking {count} packages", "解压 {count} 个软件包"),
    "doing_build": ("preparing Kiln itself", "准备 Kiln 本身"),
    "doing_apt": ("apt: {line}", "系统软件包：{line}"),
    # State of the environment
    "why_absent": (
        "Kiln is not set up yet. Setting up takes some minutes and happens once.",
        "Kiln 尚未安装。安装只需进行一次，大约几分钟。",
    ),
    "why_interrupted": (
        "The last set-up was interrupted; going on with it.",
        "上次安装被中断，现在继续。",
    ),
    "why_changed": (
        "What Kiln needs has changed; bringing the environment up to date.",
        "Kiln 所需的组件有变化，正在更新运行环境。",
    ),
    "why_moved": (
        "The folder was moved or copied; adjusting the environment to its new place.",
        "文件夹被移动或复制过，正在把运行环境调整到新位置。",
    ),
    "why_broken": (
        "The environment no longer works (its Python is gone or was replaced); building it anew.",
        "运行环境已失效（其中的 Python 被删除或替换），正在重新创建。",
    ),
    "why_fresh": ("Building the environment anew, as asked.", "按要求重新创建运行环境。"),
    "resumed_packages": ("Half-installed and installed again: {names}", "安装到一半、将重新安装：{names}"),
    "waiting": (
        "Another start of Kiln (process {owner}) is setting up; waiting for it …",
        "另一个 Kiln（进程 {owner}）正在安装，等待其完成 …",
    ),
    "stopped": (
        "Stopped. Nothing is lost: the next start goes on from here.",
        "已停止。没有丢失任何内容，下次启动会从这里继续。",
    ),
    "log": ("Log: {path}", "日志：{path}"),
    "more": ("For a check of everything: {command}", "全面检查请运行：{command}"),
    # Choice of torch
    "index_unreachable": (
        "The PyTorch server cannot be reached; taking PyTorch from the usual package index instead.",
        "无法连接 PyTorch 服务器，改为从常规软件源安装 PyTorch。",
    ),
    "index_failed": (
        "That did not work; trying {title}.",
        "没有成功，改用 {title}。",
    ),
    "plain_is_cpu": (
        "On Windows that PyTorch cannot use the NVIDIA GPU. For the GPU, set {name}={mirror} and run: {command}",
        "在 Windows 上，这样安装的 PyTorch 不能使用 NVIDIA 显卡。"
        "要使用显卡，请设置 {name}={mirror}，然后运行：{command}",
    ),
    "driver_old": (
        "The NVIDIA driver {driver} is too old for PyTorch. Install a current one from "
        "https://www.nvidia.com/drivers, otherwise training runs on the processor.",
        "NVIDIA 驱动 {driver} 对 PyTorch 来说太旧。"
        "请从 https://www.nvidia.cn/drivers 安装新版驱动，否则只能用处理器训练。",
    ),
    "disk_low": (
        "Only {free} GB are free on this disk; the set-up needs about {needed} GB.",
        "该磁盘仅剩 {free} GB，安装大约需要 {needed} GB。",
    ),
    # System libraries for Qt
    "qt_installing": (
        "Installing system libraries for the window: {names}",
        "正在安装窗口所需的系统库：{names}",
    ),
    "qt_missing": (
        "System libraries for the window are missing: {names}. Install them with:",
        "缺少窗口所需的系统库：{names}。请运行：",
    ),
    "qt_stop": (
        "Without these the window cannot open.",
        "缺少这些库，窗口无法打开。",
    ),
    "no_screen": (
        "There is no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set), so no window can open.",
        "这里没有显示器（未设置 DISPLAY 或 WAYLAND_DISPLAY），无法打开窗口。",
    ),
    "no_screen_help": (
        "Kiln also works without one: see {command}",
        "没有显示器也可以使用 Kiln，请见：{command}",
    ),
    # Desktop entry
    "desktop_done": ("Kiln is in the menu now: {path}", "Kiln 已加入应用菜单：{path}"),
    "desktop_hint": (
        "Kiln is not set up yet. Run this once, so that the first click opens the window at once: {command}",
        "Kiln 尚未安装。请先运行一次以下命令，这样第一次点击就能直接打开窗口：{command}",
    ),
    "desktop_other": (
        "This verb is for Linux. Here, double-click {starter} in the folder packaging.",
        "此命令仅用于 Linux。在本系统上，请双击 packaging 文件夹中的 {starter}。",
    ),
    # Failures: a sentence (fail_…) and what to do (help_…)
    "fail_disk_full": ("The disk is full.", "磁盘空间已满。"),
    "help_disk_full": (
        "Free some gigabytes (6 GB is comfortable, 12 GB with an NVIDIA GPU) and start again. If only the folder for "
        "temporary files is small, set TMPDIR (Windows: TEMP) to a folder with more room.",
        "请清理出几 GB 空间（建议 6 GB，使用 NVIDIA 显卡时 12 GB）后重新启动。如果只是临时文件夹太小，"
        "请把 TMPDIR（Windows 上为 TEMP）设为空间更大的文件夹。",
    ),
    "fail_no_venv": (
        "This Python cannot make virtual environments.",
        "这个 Python 无法创建虚拟环境。",
    ),
    "help_no_venv": (
        "On Debian or Ubuntu: sudo apt install python3-venv (or {venv_package}). Elsewhere install Python from "
        "https://www.python.org/downloads/",
        "Debian 或 Ubuntu 请运行：sudo apt install python3-venv（或 {venv_package}）。其他系统请从 "
        "https://www.python.org/downloads/ 安装 Python。",
    ),
    "fail_in_use": (
        "A file of the environment is in use by another program.",
        "运行环境中的文件正被其他程序占用。",
    ),
    "help_in_use": (
        "Close every window of Kiln (and of programs that look into its folder), then start again.",
        "请关闭所有 Kiln 窗口以及正在使用该文件夹的程序，然后重新启动。",
    ),
    "fail_no_links": (
        "This disk knows no symbolic links, which the environment needs.",
        "该磁盘不支持运行环境所需的符号链接。",
    ),
    "help_no_links": (
        "Move the Kiln folder to a disk of this system (not a USB stick with exFAT or FAT) and start again.",
        "请把 Kiln 文件夹移到本机磁盘（不要放在 exFAT 或 FAT 格式的 U 盘上）后重新启动。",
    ),
    "fail_long_path": (
        "The path of the Kiln folder is too long for this system.",
        "Kiln 文件夹的路径过长。",
    ),
    "help_long_path": (
        r"Move the folder to a short path, for example C:\Kiln, and start again.",
        r"请把文件夹移到较短的路径，例如 C:\Kiln，然后重新启动。",
    ),
    "fail_permission": (
        "Kiln may not write where it has to.",
        "Kiln 没有写入所需位置的权限。",
    ),
    "help_permission": (
        "Move the Kiln folder to a place of your own (your home folder, not Program Files or a protected folder), "
        "close other windows of Kiln, and start again.",
        "请把 Kiln 文件夹移到您自己的目录（例如用户目录，不要放在 Program Files 等受保护的位置），"
        "关闭其他 Kiln 窗口后重新启动。",
    ),
    "fail_proxy": ("The proxy does not let the set-up through.", "代理服务器拒绝了安装时的连接。"),
    "help_proxy": (
        "Check HTTP_PROXY and HTTPS_PROXY (and the proxy in the system settings), or switch the proxy off, and start "
        "again.",
        "请检查 HTTP_PROXY、HTTPS_PROXY 以及系统代理设置，或关闭代理后重新启动。",
    ),
    "fail_certificate": (
        "The package server could not be trusted: its certificate was refused.",
        "软件源服务器的证书未通过验证。",
    ),
    "help_certificate": (
        "Check the date of this computer. In a company network, set PIP_CERT to the certificate file of the company. "
        "Then start again.",
        "请检查电脑的日期是否正确。在公司网络中，请把 PIP_CERT 设为公司的证书文件，然后重新启动。",
    ),
    "fail_damaged": ("A download arrived damaged.", "下载的文件已损坏。"),
    "help_damaged": (
        "Start again; if it stays, try another server: set PIP_INDEX_URL, for example to "
        "https://pypi.tuna.tsinghua.edu.cn/simple",
        "请重新启动；如果问题依旧，请换一个软件源：把 PIP_INDEX_URL 设为 https://pypi.tuna.tsinghua.edu.cn/simple",
    ),
    "fail_network": (
        "The package server could not be reached.",
        "无法连接软件源服务器。",
    ),
    "help_network": (
        "Check the connection and start again; what is already there stays. In China a mirror helps: set "
        "PIP_INDEX_URL=https://pypi.tuna.tsinghua.edu.cn/simple",
        "请检查网络后重新启动，已下载的内容会保留。在中国大陆建议使用镜像：设置 "
        "PIP_INDEX_URL=https://pypi.tuna.tsinghua.edu.cn/simple",
    ),
    "fail_server": (
        "The package server refused a file.",
        "软件源服务器拒绝提供某个文件。",
    ),
    "help_server": (
        "Try again later, or with another server: set PIP_INDEX_URL, for example to https://pypi.org/simple or "
        "https://pypi.tuna.tsinghua.edu.cn/simple",
        "请稍后再试，或换一个软件源：把 PIP_INDEX_URL 设为 https://pypi.org/simple 或 "
        "https://pypi.tuna.tsinghua.edu.cn/simple",
    ),
    "fail_no_package": (
        "A package does not come for this Python ({python}) and system: {detail}",
        "某个软件包不支持当前的 Python（{python}）或系统：{detail}",
    ),
    "help_no_package": (
        "Install 64-bit Python 3.12 from https://www.python.org/downloads/ and start again. If a mirror is set in "
        "PIP_INDEX_URL, it may lag behind: try without it.",
        "请从 https://www.python.org/downloads/ 安装 64 位 Python 3.12 后重新启动。"
        "如果设置了 PIP_INDEX_URL 镜像，它可能尚未同步，请去掉后再试。",
    ),
    "fail_conflict": ("The packages do not fit together: {detail}", "软件包之间存在冲突：{detail}"),
    "help_conflict": (
        "Unset PIP_CONSTRAINT if it is set, then run: {command}",
        "如果设置了 PIP_CONSTRAINT，请先取消，然后运行：{command}",
    ),
    "fail_no_runtime": (
        "PyTorch needs Microsoft's Visual C++ runtime, which is missing or too old.",
        "缺少 PyTorch 所需的 Microsoft Visual C++ 运行库，或其版本太旧。",
    ),
    "help_no_runtime": (
        "Install it from https://aka.ms/vs/17/release/vc_redist.x64.exe and start again.",
        "请从 https://aka.ms/vs/17/release/vc_redist.x64.exe 安装后重新启动。",
    ),
    "fail_build": (
        "A package has no ready-made file for this Python ({python}) and could not be built.",
        "某个软件包没有适用于当前 Python（{python}）的预编译文件，且无法编译。",
    ),
    "help_build": (
        "Install 64-bit Python 3.12 from https://www.python.org/downloads/ and start again.",
        "请从 https://www.python.org/downloads/ 安装 64 位 Python 3.12 后重新启动。",
    ),
    "fail_old_system": (
        "A library of this system is missing or too old: {detail}",
        "系统库缺失或版本太旧：{detail}",
    ),
    "help_old_system": (
        "Kiln needs Windows 10, macOS 13, or a Linux of 2022 or newer (glibc 2.34).",
        "Kiln 需要 Windows 10、macOS 13，或 2022 年之后的 Linux（glibc 2.34）。",
    ),
    "fail_memory": (
        "The system ended the set-up, most likely because memory ran out.",
        "安装被系统终止，很可能是内存不足。",
    ),
    "help_memory": (
        "Close other programs and start again.",
        "请关闭其他程序后重新启动。",
    ),
    "fail_unknown": ("The set-up failed: {detail}", "安装失败：{detail}"),
    "help_unknown": (
        "Start again; if it stays, run: {command}",
        "请重新启动；如果问题依旧，请运行：{command}",
    ),
    "fail_bits": (
        "This is a 32-bit Python; PyTorch only comes for 64-bit.",
        "当前是 32 位 Python，而 PyTorch 只支持 64 位。",
    ),
    "help_bits": (
        "Install 64-bit Python 3.12 from https://www.python.org/downloads/ and start again.",
        "请从 https://www.python.org/downloads/ 安装 64 位 Python 3.12 后重新启动。",
    ),
    "fail_intel_mac": (
        "PyTorch no longer comes for Intel Macs.",
        "PyTorch 已不再支持 Intel 处理器的 Mac。",
    ),
    "help_intel_mac": (
        "On a Mac with Apple chip, use a Python for arm64 (https://www.python.org/downloads/) in a terminal that does "
        "not run under Rosetta.",
        "如果是 Apple 芯片的 Mac，请使用 arm64 版 Python（https://www.python.org/downloads/），"
        "并在未启用 Rosetta 的终端中运行。",
    ),
    "fail_incomplete": (
        "This folder is not a complete copy of Kiln: {name} is missing.",
        "此文件夹不是完整的 Kiln：缺少 {name}。",
    ),
    "help_incomplete": (
        "Unpack the whole archive (do not start Kiln from inside the zip), or clone the repository again.",
        "请完整解压压缩包（不要直接在压缩包内启动），或重新克隆仓库。",
    ),
    # Plan
    "plan_folder": ("Folder", "文件夹"),
    "plan_state": ("Environment", "运行环境"),
    "plan_device": ("Device", "设备"),
    "plan_torch": ("PyTorch", "PyTorch"),
    "plan_from": ("{requirement} from {index}", "{requirement}，来自 {index}"),
    "plan_pip": ("the package index of pip", "pip 的软件源"),
    "plan_else": (
        "; if it cannot be reached, {requirement} from pip's own",
        "；无法连接时改用 pip 的软件源安装 {requirement}",
    ),
    "plan_then": ("Then", "然后"),
    "plan_nothing": ("Nothing was done (dry run).", "未执行任何操作（仅显示计划）。"),
    "state_ready": ("ready", "就绪"),
    "state_absent": ("not set up yet", "尚未安装"),
    "state_interrupted": ("an interrupted set-up, to be continued", "安装被中断，将继续"),
    "state_changed": ("to be brought up to date", "需要更新"),
    "state_moved": ("moved, to be adjusted", "文件夹已移动，需要调整"),
    "state_broken": ("broken, to be built anew", "已失效，需要重建"),
    # Doctor
    "doc_title": ("Kiln doctor", "Kiln 诊断"),
    "doc_good": ("Everything that Kiln needs works.", "Kiln 所需的一切均正常。"),
    "doc_usable": ("Kiln is usable; see the lines with {mark}.", "Kiln 可以使用，请留意带 {mark} 的条目。"),
    "doc_bad": (
        "Something that Kiln needs is broken; see the lines with {mark}.",
        "Kiln 所需的组件有问题，请见带 {mark} 的条目。",
    ),
    "doc_system": ("System", "系统"),
    "doc_python": ("Python", "Python"),
    "doc_disk": ("Free disk space", "可用磁盘空间"),
    "doc_disk_free": ("{free} GB in {path}", "{path} 中有 {free} GB"),
    "doc_disk_help": (
        "Below 6 GB the set-up or the base models may not fit: free some space.",
        "低于 6 GB 时可能装不下运行环境或底模，请清理磁盘。",
    ),
    "doc_write": ("Write access", "写入权限"),
    "doc_write_no": ("cannot write to {path}", "无法写入 {path}"),
    "doc_write_help": (
        "Move the Kiln folder to a place of your own, for example your home folder.",
        "请把 Kiln 文件夹移到您自己的目录，例如用户目录。",
    ),
    "doc_path": ("Path", "路径"),
    "doc_path_long": (
        "{length} characters; Windows limits whole paths to 260",
        "{length} 个字符；Windows 的完整路径上限为 260",
    ),
    "doc_path_long_help": (
        r"Move the folder to a short path such as C:\Kiln, or switch long paths on in Windows.",
        r"请移到较短的路径（如 C:\Kiln），或在 Windows 中启用长路径。",
    ),
    "doc_path_signs": (
        "{path} (signs beyond ASCII: fine for Kiln, not for every other program)",
        "{path}（含非 ASCII 字符：Kiln 支持，但其他程序未必支持）",
    ),
    "doc_env": ("Environment", "运行环境"),
    "doc_env_help": ("Run: {command}", "请运行：{command}"),
    "doc_torch": ("PyTorch", "PyTorch"),
    "doc_torch_slow": ("{version}, {device}, but computing fails: {error}", "{version}，{device}，但计算失败：{error}"),
    "doc_torch_cpu": (
        "{version} cannot use the GPU; training runs on the processor",
        "{version} 无法使用显卡，将用处理器训练",
    ),
    "doc_torch_cpu_help": (
        "Update the NVIDIA driver, then run: {command}",
        "请更新 NVIDIA 驱动，然后运行：{command}",
    ),
    "doc_torch_arch": (
        "{version} was not built for this card (sm_{capability}; it has {builds})",
        "{version} 不支持这块显卡（sm_{capability}；支持 {builds}）",
    ),
    "doc_gpu": ("NVIDIA GPU", "NVIDIA 显卡"),
    "doc_gpu_none": ("none found", "未找到"),
    "doc_gpu_none_help": (
        "With a card built in: install its driver from https://www.nvidia.com/drivers",
        "如果装有显卡，请从 https://www.nvidia.cn/drivers 安装驱动。",
    ),
    "doc_gpu_one": ("{name}, {memory}, driver {driver}", "{name}，{memory}，驱动 {driver}"),
    "doc_gpu_small": (
        "Training SD 1.5 wants about 6 GB of GPU memory; use batch size 1 and a resolution of 512.",
        "训练 SD 1.5 大约需要 6 GB 显存；请使用批大小 1 和 512 分辨率。",
    ),
    "doc_qt_libs": ("System libraries for the window", "窗口所需的系统库"),
    "doc_qt_libs_missing": ("missing: {names}", "缺少：{names}"),
    "doc_fonts": ("Chinese font", "中文字体"),
    "doc_fonts_none": ("none installed, Chinese shows as boxes", "未安装，中文会显示为方块"),
    "doc_pyside": ("Window library (PySide6)", "窗口库（PySide6）"),
    "doc_onnx": ("Tagger runtime (onnxruntime)", "打标运行库（onnxruntime）"),
    "doc_fails": ("does not load: {error}", "无法加载：{error}"),
    "doc_net": ("Network", "网络"),
    "doc_net_yes": ("{host} answers in {time} s", "{host} 响应时间 {time} 秒"),
    "doc_net_no": ("{host} does not answer", "{host} 没有响应"),
    "doc_net_pip": (
        "Needed for set-up only. A mirror helps: set PIP_INDEX_URL=https://pypi.tuna.tsinghua.edu.cn/simple",
        "仅安装时需要。可使用镜像：设置 PIP_INDEX_URL=https://pypi.tuna.tsinghua.edu.cn/simple",
    ),
    "doc_net_hub": (
        "Only for downloading models. A mirror helps: set HF_ENDPOINT=https://hf-mirror.com; models that are already "
        "on disk need no network.",
        "仅下载模型时需要。可使用镜像：设置 HF_ENDPOINT=https://hf-mirror.com；已下载的模型无需联网。",
    ),
    "doc_net_torch": (
        "Only for choosing the PyTorch build at set-up; {name} can name a mirror.",
        "仅安装时用于选择 PyTorch 版本；可用 {name} 指定镜像。",
    ),
    "doc_setting": ("Setting {name}", "设置 {name}"),
    "doc_pythonpath_help": (
        "Packages from there can shadow Kiln's own: unset it for Kiln.",
        "其中的软件包可能覆盖 Kiln 自带的版本：运行 Kiln 时请取消此设置。",
    ),
    "doc_ok": ("fine", "正常"),
}

USAGE = (
    """\
Kiln: train a LoRA from a folder of pictures.

  python packaging/launch.py [--dry-run] [VERB] [ARGUMENTS]

Without a verb the window opens. Whatever is needed is set up first.
  demo              train the demo character, with no screen, GPU or network
  test              set up with the test packages and run the test suite
  setup [--fresh]   only set up; --fresh builds the environment anew and chooses PyTorch again
  doctor            check Python, PyTorch, GPU, libraries, disk and network
  install-desktop   add Kiln to the application menu (Linux)
  quick, train, tag, sample, resume, …
                    Kiln's command line; for help: python packaging/launch.py train --help
  --dry-run         before a verb: say what would be done, and do nothing

Environment variables:
  KILN_TORCH_INDEX  package index to take PyTorch from: a mirror, another CUDA version, ROCm, XPU;
                    empty: pip's own index. Not set: chosen for this computer.
  PIP_INDEX_URL     package index for all else, for example https://pypi.tuna.tsinghua.edu.cn/simple
  HF_ENDPOINT       hub for models, for example https://hf-mirror.com
""",
    """\
Kiln（丹炉）：用一个图片文件夹训练 LoRA。

  python packaging/launch.py [--dry-run] [命令] [参数]

不带命令时打开窗口。所需的一切会先自动安装。
  demo              训练演示角色，不需要显示器、显卡和网络
  test              安装测试组件并运行全部测试
  setup [--fresh]   仅安装；--fresh 重新创建运行环境并重新选择 PyTorch
  doctor            检查 Python、PyTorch、显卡、系统库、磁盘和网络
  install-desktop   把 Kiln 加入应用菜单（Linux）
  quick、train、tag、sample、resume …
                    Kiln 的命令行；帮助：python packaging/launch.py train --help
  --dry-run         放在命令之前：只显示将要做什么，不执行

环境变量：
  KILN_TORCH_INDEX  安装 PyTorch 的软件源：镜像、其他 CUDA 版本、ROCm、XPU；
                    空值：使用 pip 的软件源。未设置：按本机自动选择。
  PIP_INDEX_URL     其余软件包的软件源，例如 https://pypi.tuna.tsinghua.edu.cn/simple
  HF_ENDPOINT       模型下载站，例如 https://hf-mirror.com
""",
)


def text(key: str, **values: object) -> str:
    """The message in the user's language."""
    return MESSAGES[key][language()].format(**values)


def usage() -> str:
    """The help page in the user's language."""
    return USAGE[language()]


@functools.cache
def language() -> int:
    """Column of the tables: 0 English, 1 Chinese."""
    return 1 if is_chinese(system_language()) else 0


def is_chinese(name: str) -> bool:
    """True for 'zh_CN.UTF-8', 'zh-Hans', 'Chinese (Simplified)_China.936'."""
    return name.lower().startswith(("zh", "chinese"))


def system_language() -> str:
    """Language that the user set: of the terminal, else of the system."""
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    if locale:
        is_plain = locale.split(".")[0] in ("C", "POSIX")
        return locale if is_plain else os.environ.get("LANGUAGE") or locale
    if sys.platform == "win32":
        return windows_language()
    if sys.platform == "darwin":
        return mac_language()
    return ""


def windows_language() -> str:
    """'zh' if Windows itself speaks Chinese."""
    if sys.platform != "win32":
        return ""
    import ctypes

    primary = ctypes.windll.kernel32.GetUserDefaultUILanguage() & 0x3FF
    return "zh" if primary == 0x04 else "en"


def mac_language() -> str:
    """The first of the user's languages on a Mac, for starts without a terminal."""
    try:
        answer = subprocess.run(
            ["defaults", "read", "-g", "AppleLocale"], capture_output=True, text=True, timeout=3, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()
